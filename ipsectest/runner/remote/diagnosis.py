"""What a handshake tells of the description: in plain words, and which line of the file to change."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, summarize_address_range

from ipsectest.base.iana import KeyExchangeMethod, NotifyType, name_of
from ipsectest.base.suites import format_suite
from ipsectest.ike.config import Suite
from ipsectest.peers.remote.description import Remote, Seat
from ipsectest.runner.remote.handshake import Handshake
from ipsectest.scenario.facts import Ends
from ipsectest.scenario.ports import Authentication
from ipsectest.scenario.tester import identity_of
from ipsectest.wire import Notify, TrafficSelector
from ipsectest.wire.structures import ANY_PORT


class Step(StrEnum):
    """Parts of a tunnel, in the order in which they come up."""

    ADAPTER = "adapter"
    INIT = "IKE_SA_INIT"
    AUTH = "IKE_AUTH"
    CHILD = "Child SA"
    PING = "ping"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check: what there is, and what to do if it is not what the file says."""

    step: Step
    text: str
    fits: bool = True
    hints: tuple[str, ...] = ()


def findings(remote: Remote, seat: Seat, ends: Ends, found: Handshake) -> list[Finding]:
    """What came of a handshake, up to the first thing that does not fit."""
    init = _init(remote, seat, found)
    if not init.fits:
        return [init]
    auth = _auth(remote, ends, found)
    if not auth.fits or remote.without_children:
        return [init, auth]
    return [init, auth, *_child(remote, found)]


def _init(remote: Remote, seat: Seat, found: Handshake) -> Finding:
    sa, error = found.sa, found.refused_init
    where = f"{remote.address} port {remote.peer_ports.ike}"
    if sa.chosen is not None and found.asked_cookie and not (remote.facts or {}).get("cookies"):
        return _failed(
            Step.INIT,
            f"{sa.chosen}, but the peer demands a cookie, for which most scripts have no line",
            "switch cookies off at the peer, or wait until it has fewer half-open IKE SAs",
            "cookies = true in [peer]: only cases about cookies are played then",
        )
    if sa.chosen is not None:
        return Finding(Step.INIT, f"{sa.chosen}{', after a cookie' if found.asked_cookie else ''}")
    if not found.answered and found.obstacle:
        return _failed(
            Step.INIT,
            found.obstacle,
            "address and port in [peer]; is there a route, and is the IKE daemon running?",
            *_netns(remote),
        )
    if not found.answered:
        return _failed(
            Step.INIT,
            f"no answer from {where}",
            "address and port in [peer]; a firewall on the way; is the IKE daemon running?",
            f"many daemons ignore whom they do not know: do they expect us at {seat.address}?",
            *_netns(remote),
        )
    if error is None:
        return _failed(Step.INIT, f"the answer of {where} is none that we can use", "is that an IKEv2 daemon?")
    return _refused(remote, seat, error)


def _netns(remote: Remote) -> tuple[str, ...]:
    return () if remote.netns else ("netns in [wire], or --netns NAME, if the peer is in a network namespace",)


def _refused(remote: Remote, seat: Seat, error: Notify) -> Finding:
    """An error in the answer to IKE_SA_INIT."""
    name = _name(error)
    if error.notify_type == NotifyType.NO_PROPOSAL_CHOSEN:
        return _failed(
            Step.INIT,
            f"{name}: it has none of {_suites(remote, 'ike')} for us",
            "ike in [peer]: the proposals of the peer for IKE",
            f"some daemons say so to whom they do not know: do they expect us at {seat.address}?",
        )
    if error.notify_type == NotifyType.INVALID_KE_PAYLOAD:
        wanted = name_of(KeyExchangeMethod, int.from_bytes(error.data[:2], "big"))
        return _failed(Step.INIT, f"{name}: it wants {wanted}", "the group in ike of [peer]")
    return _failed(Step.INIT, f"{name}: it refuses us", "the log of the peer says why")


def _auth(remote: Remote, ends: Ends, found: Handshake) -> Finding:
    sa = found.sa
    if found.established and sa.remote_identity != identity_of(ends.peer.local_id):
        return _failed(Step.AUTH, f"the peer says that it is {sa.remote_identity}", "id in [peer]")
    if found.established:
        how = "a pre-shared key" if ends.peer.local_auth is Authentication.PSK else "a certificate"
        return Finding(Step.AUTH, f"{sa.remote_identity} has proved itself with {how}")
    error = found.refused_auth
    if error is not None and error.notify_type == NotifyType.AUTHENTICATION_FAILED:
        return _failed(Step.AUTH, "AUTHENTICATION_FAILED: the peer does not believe us", *_credentials(ends))
    if error is not None:
        return _failed(Step.AUTH, f"{_name(error)}: the peer refuses us", "the log of the peer says why")
    if found.closed and "no response" not in found.closed:
        return _failed(Step.AUTH, f"we do not believe the peer: {found.closed}", *_of_peer(ends))
    return _failed(
        Step.AUTH,
        f"no answer to IKE_AUTH, which went to port {sa.remote.port if remote.behind_nat else _port(remote, found)}",
        "port 4500 may be blocked on the way, or be another one: nat_port in [peer]",
        "large messages with certificates may be lost as fragments",
        "some daemons keep silent if they do not believe us: id in [tester], the secret",
    )


def _port(remote: Remote, found: Handshake) -> int:
    return remote.peer_ports.nat if found.sa.local_behind_nat or found.sa.remote_behind_nat else remote.peer_ports.ike


def _credentials(ends: Ends) -> tuple[str, ...]:
    who = f"id in [tester]: we say that we are {ends.identity}"
    if ends.auth is Authentication.PSK:
        return ("the pre-shared key: psk, psk_file or psk_env in [peer]", who)
    return ("certificate and key in [tester]: does the peer trust its CA?", f"{who}; the certificate must say so too")


def _of_peer(ends: Ends) -> tuple[str, ...]:
    if ends.peer.local_auth is Authentication.PSK:
        return (
            "the pre-shared key: psk, psk_file or psk_env in [peer]; or the peer has a certificate: auth in [peer]",
        )
    return ("trust in [peer]: the CA of the peer's certificate", "id in [peer]: what its certificate says")


def _child(remote: Remote, found: Handshake) -> list[Finding]:
    child = found.child
    if child is None:
        return [_no_child(remote, found)]
    way = "in UDP" if found.encapsulated else "as IP protocol 50"
    theirs, ours = (_selectors(ts) for ts in (child.remote_ts, child.local_ts))
    made = [Finding(Step.CHILD, f"{theirs} <-> {ours}, {shown(child.chosen.transforms)}, ESP {way}")]
    wanted = child.config.remote_ts, child.config.local_ts
    if (theirs, ours) != tuple(map(_selectors, wanted)):
        asked = f"{_selectors(wanted[0])} <-> {_selectors(wanted[1])}"
        made.append(
            _failed(Step.CHILD, f"the peer has narrowed {asked}", f'ts = "{theirs}" in [peer], "{ours}" in [tester]')
        )
    sa = found.sa
    if (sa.local_behind_nat or sa.remote_behind_nat) and not remote.behind_nat:
        made.append(_failed(Step.CHILD, "there is a NAT between us", "nat = true in [wire]"))
    return made


def _no_child(remote: Remote, found: Handshake) -> Finding:
    error = found.refused_auth
    if error is None:
        return _failed(Step.CHILD, f"no Child SA: {found.no_child or found.closed}", "esp and ts in [peer]")
    hints: dict[int, str] = {
        NotifyType.NO_PROPOSAL_CHOSEN: f"esp in [peer], now {_suites(remote, 'esp')}: its proposals",
        NotifyType.TS_UNACCEPTABLE: "ts in [peer] and in [tester] (without one: inner): what the peer protects, and we",
    }
    hint = hints.get(error.notify_type, "the log of the peer says why")
    alone = 'or, if it can set up no Child SA at all: without_children = "why" in [peer]'
    return _failed(Step.CHILD, f"{_name(error)}: the peer refuses the Child SA", hint, alone)


def _failed(step: Step, text: str, *hints: str) -> Finding:
    return Finding(step, text, fits=False, hints=hints)


def _name(error: Notify) -> str:
    return name_of(NotifyType, error.notify_type)


def _suites(remote: Remote, key: str) -> str:
    suites = (remote.facts or {}).get(key, ())
    return ", ".join(shown(suite) for suite in suites) if isinstance(suites, tuple) else ""


def shown(suite: Suite) -> str:
    """A proposal as one writes it in the file."""
    return format_suite(suite).removesuffix("-noesn")


def _selectors(selectors: tuple[TrafficSelector, ...]) -> str:
    return ", ".join(sorted(map(_selector, selectors)))


def _selector(selector: TrafficSelector) -> str:
    """As one writes it in the file: ``203.0.113.0/24/tcp/80-90``."""
    start, end = ip_address(selector.start), ip_address(selector.end)
    networks = list(summarize_address_range(start, end))
    where = str(networks[0]).removesuffix(f"/{start.max_prefixlen}") if len(networks) == 1 else f"{start}-{end}"
    ports = (selector.start_port, selector.end_port)
    if ports != ANY_PORT:
        return f"{where}/{selector.protocol}/{ports[0]}-{ports[1]}"
    return f"{where}/{selector.protocol}" if selector.protocol else where
