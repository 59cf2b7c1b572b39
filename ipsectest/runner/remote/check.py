"""Whether the description of a remote peer fits: one handshake, one ping, and what to change if they fail."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from ipsectest.base.clock import RandomBytes
from ipsectest.base.iana import NotifyType
from ipsectest.base.suites import parse_suite
from ipsectest.ike.config import DEFAULT_ESP, DEFAULT_IKE, ConnectionConfig, EndpointConfig, Suite
from ipsectest.peers.remote.adapter import AdaptedPeer
from ipsectest.peers.remote.description import AdapterCommand, Remote
from ipsectest.peers.remote.fit import fitted
from ipsectest.runner.conductor import Finished
from ipsectest.runner.recorder import Recorder
from ipsectest.runner.remote import session as remote_session
from ipsectest.runner.remote.diagnosis import Finding, Step, findings, shown
from ipsectest.runner.remote.handshake import attempt
from ipsectest.runner.remote.place import place
from ipsectest.runner.remote.reach import obstacle
from ipsectest.runner.remote.wire import OpenWire, open_wire
from ipsectest.runner.session import SANITY, SANITY_IKE, SANITY_UDP, Session
from ipsectest.scenario.facts import both_ends
from ipsectest.scenario.load import load
from ipsectest.scenario.results import Verdict
from ipsectest.scenario.tester import endpoint_config

_OLD_IKE = (
    "aes256-aes192-aes128-3des-sha512-sha384-sha256-sha1-md5-prfsha512-prfsha384-prfsha256-prfsha1-prfmd5"
    "-modp2048-modp4096-modp1536-modp1024-ecp256-ecp384-ecp521-x25519-modp3072"
)
_OLD_ESP = "aes256-aes192-aes128-3des-sha512-sha384-sha256-sha1-md5-noesn"
_WIDE_IKE: tuple[Suite, ...] = (*DEFAULT_IKE, parse_suite(_OLD_IKE))
_WIDE_ESP: tuple[Suite, ...] = (*DEFAULT_ESP, parse_suite(_OLD_ESP))
"""What a peer is offered that refuses the proposals of its file: whatever it takes is a hint."""


def check(session: Session, remote: Remote, random: RandomBytes) -> Iterator[Finding]:
    """Findings as they are made, from every seat of ours; the last of a seat tells whether it can be played from."""
    if remote.adapter is not None:
        yield _greeted(remote, remote.adapter)
    if remote.facts is not None:
        opened = open_wire(remote)
        try:
            for slot in range(1, len(opened.seats) + 1):
                yield from _shaken(remote, opened, slot, random)
        finally:
            opened.wire.close()
    yield _sane(session, remote)


def _greeted(remote: Remote, command: AdapterCommand) -> Finding:
    """What the adapter says that it can do; PeerError if it does not greet back."""
    with closing(AdaptedPeer(remote, command)) as peer:
        can = peer.abilities
    lists = {"verbs": can.verbs, "counters": can.counters, "settings": can.settings, "auth": can.auth}
    words = (f"{name}: {', '.join(sorted(those)) or 'none'}" for name, those in lists.items())
    return Finding(Step.ADAPTER, "; ".join((f"{can.name} {can.version}".strip() or "greets", *words)))


def _shaken(remote: Remote, opened: OpenWire, slot: int, random: RandomBytes) -> Iterator[Finding]:
    seat = opened.seats[slot - 1]
    here = place(remote, seat, slot, raw_esp=opened.raw_esp)
    case = load(SANITY_IKE if remote.without_children else SANITY).cases[0]
    ends = both_ends(fitted(remote, seat, case, here), here)
    config = endpoint_config(ends, here)
    connection = config.connections[0]
    found = attempt(opened.wire, _with(config, connection), random)
    if not found.answered:
        found.obstacle = obstacle(remote, seat)
    for finding in findings(remote, seat, ends, found):
        hints: tuple[str, ...] = ()
        if finding.step is Step.INIT and _is(found.refused_init, NotifyType.NO_PROPOSAL_CHOSEN):
            wide = attempt(opened.wire, _with(config, replace(connection, proposals=_WIDE_IKE)), random)
            hints = (f'it would take ike = "{shown(wide.sa.chosen.transforms)}"',) if wide.sa.chosen else ()
        elif finding.step is Step.CHILD and _is(found.refused_auth, NotifyType.NO_PROPOSAL_CHOSEN):
            children = tuple(replace(child, proposals=_WIDE_ESP) for child in connection.children)
            wide = attempt(opened.wire, _with(config, replace(connection, children=children)), random)
            hints = (f'it would take esp = "{shown(wide.child.chosen.transforms)}"',) if wide.child else ()
        yield replace(finding, hints=(*hints, *finding.hints))


def _with(config: EndpointConfig, connection: ConnectionConfig) -> EndpointConfig:
    return replace(config, connections=(connection,))


def _is(error: object, kind: NotifyType) -> bool:
    return getattr(error, "notify_type", None) == kind


def _sane(session: Session, remote: Remote) -> Finding:
    """The sanity case as a run plays it: with the adapter if there is one, with a ping where there are Child SAs."""
    ended: list[Finished] = []
    quiet = Recorder({}, {}, session.seed)
    mine = replace(session, recorder=quiet, progress=lambda _name, finished: ended.append(finished))
    remote_session.play(mine, remote, ())
    bad = next((finished for finished in ended if finished.result.verdict is not Verdict.PASS), None)
    pings = any(finished.case.path.name in {SANITY.name, SANITY_UDP.name} for finished in ended)
    whom = remote.inner or remote.address
    if bad is None:
        return Finding(Step.PING, f"{whom} answers through the tunnel" if pings else "the first case passes")
    reason = bad.result.reason
    text = "; ".join(part for part in (reason.expected, reason.actual, reason.text) if part) if reason else ""
    hints = ["the log of the peer says why" + (", or that of the adapter" if remote.adapter else "")]
    if reason and "ESP" in reason.expected:
        hints = [
            f"inner in [peer]: does {remote.inner} answer pings?",
            "inner in [tester]: is the way back through us?",
        ]
        hints.append("raw_esp = false in [wire] and a high port in [tester], if IP protocol 50 is blocked on the way")
    what = f"no ping of {whom} through a tunnel" if pings else "the first case does not pass"
    return Finding(Step.PING, f"{what}: {text}", fits=False, hints=tuple(hints))
