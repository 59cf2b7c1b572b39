"""What of a case fits a peer with one configuration: its facts take the peer's values, or it is unsupported.

A case that leaves a fact alone takes the value of the file. One that asks for another value, for a verb, or whose
script is written for what the peer is not set up with, would say nothing about the peer: it must never fail.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ipsectest.base.errors import UnsupportedError
from ipsectest.base.iana import ExchangeType, NotifyType, PayloadType, TransformType
from ipsectest.base.suites import format_suite, parse_suite
from ipsectest.peers.remote.description import Remote, Seat
from ipsectest.peers.remote.load import PEER_FACTS
from ipsectest.scenario.data_lines import HEADER_FIELDS
from ipsectest.scenario.facts import DEFAULT_ESP, DEFAULT_IKE, both_ends
from ipsectest.scenario.model import (
    AnyOrder,
    Case,
    DataPattern,
    Expect,
    Facts,
    Incoming,
    Line,
    MessagePattern,
    Modifiers,
    Outgoing,
    PayloadItem,
    PeerVerb,
    Send,
    Silence,
    UseTunnel,
)
from ipsectest.scenario.ports import Authentication, Environment, PeerSettings, Selector, Verb

_FIELDS = {
    "ah": "protocol",
    "auth": "local_auth",
    "id": "local_id",
    "psk": "secret",
    "ts": "local_ts",
    "ts_tester": "remote_ts",
}
"""Facts and the fields of `PeerSettings` that they end in; the others have one name."""
_KNOWN_DEFAULTS = {"mode", "ts", "ts_tester", "id", "psk", "auth"}
"""What a file need not say: what it means then is known."""
_NAT_NOTIFIES = {NotifyType.NAT_DETECTION_SOURCE_IP, NotifyType.NAT_DETECTION_DESTINATION_IP}
_OF_CIPHER = {"pad", "pad_length", "padding", "iv"}
"""What of an ESP packet fits one cipher and not another."""
_HEADERS = {*HEADER_FIELDS, "checksum", "mf", "part"}


def fitted(remote: Remote, seat: Seat, case: Case, place: Environment) -> Case:
    """The case with the facts of the peer; UnsupportedError says what it asks for and what there is."""
    _check_wire(remote, case, place)
    if remote.facts is None:
        return case
    own = {**remote.facts, **seat.selectors}
    meant = replace(case, peer=own, tester={**seat.facts, **case.tester})
    asked = both_ends(replace(case, peer={**own, **case.peer}), place).peer
    _check_facts(remote, case, asked, both_ends(meant, place).peer, own)
    _check_ours(case, seat)
    _check_disturbing(remote, case, own)
    _check_script(remote, case, own, place)
    return meant


def _check_wire(remote: Remote, case: Case, place: Environment) -> None:
    """What does not go over sockets to that address, whatever the peer can do."""
    data = list(_data(case.lines))
    if "ah" in case.peer or any(pattern.carrier == "AH" for pattern in data):
        raise UnsupportedError("AH", f"to {remote.name} we have UDP sockets, and one for ESP at best")
    if any(pattern.carrier == "clear" or "behind" in {pattern.source, pattern.destination} for pattern in data):
        raise UnsupportedError("packets in clear", f"we are not in the network behind {remote.name}")
    if any(edit.name in _HEADERS for pattern in data for edit in pattern.edits):
        raise UnsupportedError("fields of the IP header", "the sockets of this machine make it")
    if remote.behind_nat and _is_about_nat(case):
        raise UnsupportedError("NAT detection", f"between us and {remote.name} is a NAT, or a port is not 500 or 4500")
    if any(modifiers.source == "elsewhere" for _, modifiers in _messages(case.lines)) and not place.elsewhere:
        raise UnsupportedError("a second address of ours", "the file has no elsewhere = ... in [tester]")


def _check_facts(remote: Remote, case: Case, asked: PeerSettings, has: PeerSettings, own: Facts) -> None:
    for key in case.peer:
        if key not in PEER_FACTS and key != "ts_tester":
            raise UnsupportedError(f"peer.{key}", f"nobody sets {remote.name} up with it")
        field = _FIELDS.get(key, key)
        wanted, there = getattr(asked, field), getattr(has, field)
        if key not in own and key not in _KNOWN_DEFAULTS:
            why = f"the case asks for {_shown(wanted)}, and {remote.path.name} does not say {key} = ..."
            raise UnsupportedError(f"peer.{key}", why)
        if wanted != there:
            why = f"the case asks for {_shown(wanted)}, {remote.name} has {_shown(there)}"
            raise UnsupportedError(f"peer.{key}", why)


def _check_ours(case: Case, seat: Seat) -> None:
    """What the peer would have to be told of us."""
    for key in ("id", "auth"):
        if key in case.tester and case.tester[key] != seat.facts.get(key):
            raise UnsupportedError(
                f"tester.{key}", f"the case asks for {case.tester[key]}, the peer knows us by {seat.facts.get(key)}"
            )


def _check_disturbing(remote: Remote, case: Case, own: Facts) -> None:
    """What the peer does of itself, and the script has no lines for."""
    if own.get("cookies") is True and "cookies" not in case.peer:
        raise UnsupportedError("a script without cookies", f"{remote.name} demands one of every IKE_SA_INIT")


# The script ---------------------------------------------------------------------------------------------------------


def _check_script(remote: Remote, case: Case, own: Facts, place: Environment) -> None:
    for line in case.lines:
        _check_verb(remote, line, case)
    items = [(pattern, item) for pattern in _patterns(case.lines) for item in pattern.items]
    named = {kind for pattern, item in items for kind in _suites_named(pattern, item)}
    if any(edit.name in _OF_CIPHER for data in _data(case.lines) for edit in data.edits):
        named.add("esp")
    for kind, default in (("ike", DEFAULT_IKE), ("esp", DEFAULT_ESP)):
        speaks = kind in named or kind in case.tester
        if speaks and kind not in case.peer and own.get(kind) != (parse_suite(default),):
            has = _shown(own.get(kind))
            raise UnsupportedError(f"peer.{kind}", f"the script speaks of {default}, {remote.name} has {has}")
    if _speaks_of_selectors(case, items) and not _is_between_hosts(case, own, place):
        raise UnsupportedError(
            "selectors of the script", f"they are those of two hosts, {remote.name} protects more than them"
        )
    is_for_tunnels = any(_data(case.lines)) or any(item.selectors for _, item in items)
    if own.get("mode") == "transport" and "mode" not in case.peer and is_for_tunnels:
        raise UnsupportedError("peer.mode", f"the script is for tunnel mode, {remote.name} has transport mode")
    if own["auth"] is not Authentication.PSK and "auth" not in case.peer and _is_for_psk(case, items):
        raise UnsupportedError("peer.auth", f"the script is for a pre-shared key, {remote.name} has {own['auth']}")


def _check_verb(remote: Remote, line: Line, case: Case) -> None:
    verb = line.verb if isinstance(line, PeerVerb) else None
    if isinstance(line, UseTunnel) and case.peer_initiates:
        verb = Verb.INITIATE
    if verb and not remote.adapter:
        raise UnsupportedError(f"peer {verb}", f"nobody can ask {remote.name} for it: its file has no [adapter]")


def _suites_named(pattern: MessagePattern, item: PayloadItem) -> Iterator[str]:
    """Whose algorithms an item names: ``ike`` or ``esp``."""
    init = pattern.exchange == ExchangeType.IKE_SA_INIT
    if item.group is not None and item.type == PayloadType.KE:
        yield "ike"
    if item.notify == NotifyType.INVALID_KE_PAYLOAD and item.edits:
        yield "ike"
    for proposal in item.offer.proposals if item.offer else ():
        if proposal.suite:
            yield "ike" if init or any(spec.type == TransformType.PRF for spec in proposal.suite) else "esp"
        elif proposal.edits:
            yield "ike" if init else "esp"


def _speaks_of_selectors(case: Case, items: list[tuple[MessagePattern, PayloadItem]]) -> bool:
    if "ts" in case.peer or "ts_tester" in case.peer:
        return False
    ends = (end for data in _data(case.lines) for end in (data.source, data.destination))
    return any(item.selectors for _, item in items) or any(ends) or bool({"ts", "ts_peer"} & case.tester.keys())


def _is_between_hosts(case: Case, own: Facts, place: Environment) -> bool:
    plain = {key: value for key, value in own.items() if key not in {"ts", "ts_tester"}}
    has, hosts = (both_ends(replace(case, peer=facts), place).peer for facts in (own, plain))
    return (has.local_ts, has.remote_ts) == (hosts.local_ts, hosts.remote_ts)


def _is_for_psk(case: Case, items: list[tuple[MessagePattern, PayloadItem]]) -> bool:
    """Whether certificates would break it: a list of payloads without ``...``, their order, a word of the method."""
    exact = (
        option.what
        for line in _expects(case.lines)
        for option in line.alternatives
        if isinstance(option.what, MessagePattern)
        and option.what.exchange == ExchangeType.IKE_AUTH
        and not option.what.ellipsis
        and option.what.item(PayloadType.AUTH)
    )
    reordered = any(modifiers.reversed for _, modifiers in _messages(case.lines))
    return (
        any(exact)
        or reordered
        or any(
            item.method is not None
            or item.secret is not None
            or (item.type == PayloadType.AUTH and item.edits)
            or item.type in {PayloadType.CERT, PayloadType.CERTREQ}
            for _, item in items
        )
    )


def _is_about_nat(case: Case) -> bool:
    items = (item for pattern in _patterns(case.lines) for item in pattern.items)
    return any(item.notify in _NAT_NOTIFIES for item in items) or any(
        pattern.encapsulation for pattern in _data(case.lines)
    )


# Walking through lines ----------------------------------------------------------------------------------------------


def _expects(lines: Iterable[Line]) -> Iterator[Expect]:
    for line in lines:
        if isinstance(line, Expect):
            yield line
        elif isinstance(line, AnyOrder):
            yield from line.lines


def _messages(lines: Iterable[Line]) -> Iterator[tuple[Outgoing | Incoming, Modifiers]]:
    lines = list(lines)
    for line in lines:
        if isinstance(line, Send):
            yield line.what, line.modifiers
    for expect in _expects(lines):
        for option in expect.alternatives:
            what = option.what.but if isinstance(option.what, Silence) else option.what
            if what is not None:
                yield what, option.modifiers


def _patterns(lines: Iterable[Line]) -> Iterator[MessagePattern]:
    """All messages of a script, with their ``and`` lines."""
    lines = list(lines)
    for what, _ in _messages(lines):
        if isinstance(what, MessagePattern):
            yield what
    for expect in _expects(lines):
        first = expect.first.what
        exchange = first.exchange if isinstance(first, MessagePattern) else 0
        for condition in expect.conditions:
            yield MessagePattern(exchange, condition.items)


def _data(lines: Iterable[Line]) -> Iterator[DataPattern]:
    lines = list(lines)
    for what, _ in _messages(lines):
        if isinstance(what, DataPattern):
            yield what
    for expect in _expects(lines):
        yield from (condition.data for condition in expect.conditions if condition.data)


def _shown(value: object) -> str:
    """A value in a sentence."""
    if isinstance(value, bytes):
        return "a pre-shared key of its own"
    if not isinstance(value, tuple):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if value and all(isinstance(suite, tuple) for suite in value):
        return ", ".join(format_suite(suite) for suite in value)
    return ", ".join(_range(one) if isinstance(one, Selector) else str(one) for one in value)


def _range(selector: Selector) -> str:
    where = selector.start if selector.start == selector.end else f"{selector.start}-{selector.end}"
    what = f" protocol {selector.protocol}" if selector.protocol else ""
    every = (selector.start_port, selector.end_port) == (0, 0xFFFF)
    return where + what + ("" if every else f" ports {selector.start_port}-{selector.end_port}")
