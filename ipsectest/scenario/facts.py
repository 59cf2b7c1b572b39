"""The facts ``peer.*`` and ``tester.*``: their closed list, their defaults, and what both ends are told."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ipsectest.base.addresses import Address
from ipsectest.base.iana import ProtocolId
from ipsectest.base.suites import UnknownKeywordError, parse_suite
from ipsectest.crypto.certificates import name_der
from ipsectest.ike.config import Suite
from ipsectest.scenario.arguments import read_selector
from ipsectest.scenario.model import Case, Facts, SelectorWords
from ipsectest.scenario.operands import Word, literal_octets
from ipsectest.scenario.ports import Authentication, Environment, Identity, PeerSettings, Selector, SpdEntry
from ipsectest.scenario.syntax import ScriptSyntaxError, nearest
from ipsectest.wire import TrafficSelector

DEFAULT_IKE = "aes128gcm16-prfsha256-x25519"
DEFAULT_ESP = "aes128gcm16-noesn"
IDENTITY_KINDS = ("fqdn", "email", "ipv4", "ipv6", "dn", "keyid")
T = TypeVar("T")
HASHES = ("sha1", "sha256", "sha384", "sha512", "identity")


class FactError(ValueError):
    """A fact that does not exist or does not fit: its key and what is wrong."""

    def __init__(self, key: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class SpdLine:
    """One entry of ``peer.spd`` as written; without selectors: the Child SA of the case."""

    action: str
    theirs: SelectorWords | None = None
    ours: SelectorWords | None = None
    child: str = ""


PROTECT = SpdLine("protect")


# Readers of values: each takes what TOML gave and raises ValueError or ScriptSyntaxError ----------------------------


def _suites(value: object) -> tuple[Suite, ...]:
    return tuple(parse_suite(text) for text in _texts(value))


def _selectors(value: object) -> tuple[SelectorWords, ...]:
    return tuple(read_selector(Word(text, 1)) for text in _texts(value))


def _texts(value: object) -> list[str]:
    values: list[object] = value if isinstance(value, list) else [value]
    texts = [text for text in values if isinstance(text, str)]
    if not texts or len(texts) != len(values):
        raise ValueError("needs a text or a list of texts")
    return texts


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("needs a text")  # noqa: TRY004 - caught with the other value errors
    return value


def _authentication(value: object) -> Authentication:
    return Authentication(_one_of(*Authentication)(value))


def _identity(value: object) -> str:
    text = _text(value)
    kind, colon, rest = text.partition(":")
    if text == "address":
        return text
    if not colon or not rest:
        raise ValueError("an identity is written kind:value, such as fqdn:peer.example")
    _one_of(*IDENTITY_KINDS)(kind)
    if kind in {"ipv4", "ipv6"}:
        ipaddress.ip_address(rest)
    if kind == "keyid":
        bytes.fromhex(rest)
    if kind == "dn":
        name_der(rest)
    return text


def _secret(value: object) -> bytes:
    text = _text(value)
    return literal_octets(Word(text, 1)) if text.startswith("0x") else text.encode()


def _one_of(*words: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        text = _text(value)
        if text not in words:
            near = nearest(text, list(words))
            raise ValueError(f"is one of {', '.join(words)}" + (f"; did you mean {near!r}?" if near else ""))
        return text

    return read


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is true or false")  # noqa: TRY004
    return value


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("needs a whole number")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError("needs a number of seconds")
    return float(value)


def _policy(value: object) -> tuple[SpdLine, ...]:
    """``bypass theirs/udp/53 ours``, ``protect``, ``protect web theirs/tcp/80 ours``, ``discard their-net ours``."""
    lines = tuple(_policy_line(text.split()) for text in _texts(value))
    return lines if any(line.action == "protect" and line.ours is None for line in lines) else (*lines, PROTECT)


def _policy_line(words: list[str]) -> SpdLine:
    action, *rest = words or [""]
    _one_of("protect", "bypass", "discard")(action)
    name = rest.pop(0) if action == "protect" and len(rest) == 3 else ""
    if action == "protect" and not rest:
        return PROTECT
    if len(rest) != 2 or (action == "protect" and not name):
        raise ValueError(
            'is written: "bypass THEIRS OURS", "discard THEIRS OURS", "protect" or "protect NAME THEIRS OURS"'
        )
    theirs, ours = (read_selector(Word(word, 1)) for word in rest)
    return SpdLine(action, theirs, ours, name)


def _hashes(value: object) -> tuple[str, ...]:
    return tuple(_one_of(*HASHES)(text) for text in _texts(value))


Reader = Callable[[object], object]
TESTER_KEYS: Mapping[str, Reader] = {
    "ike": _suites,
    "esp": _suites,
    "auth": _authentication,
    "id": _identity,
    "psk": _secret,
    "hashes": _hashes,
    "mode": _one_of("tunnel", "transport"),
    "ts": _selectors,
    "ts_peer": _selectors,
}
PEER_KEYS: Mapping[str, Reader] = {
    "ike": _suites,
    "esp": _suites,
    "ah": _suites,
    "auth": _authentication,
    "id": _identity,
    "psk": _secret,
    "ts": _selectors,
    "ts_tester": _selectors,
    "mode": _one_of("tunnel", "transport"),
    "replay_window": _count,
    "spd": _policy,
    "bound_to": _one_of("interface", "vti", "mark"),
    "trap": _flag,
    "copy_df": _flag,
    "child_packets": _count,
    "child_bytes": _count,
    "child_expires": _flag,
    "cookies": _flag,
    "dpd": _seconds,
    "window": _count,
    "force_encapsulation": _flag,
    "mobike": _flag,
    "fragmentation": _flag,
    "childless": _one_of("allow", "never", "force"),
    "ike_lifetime": _seconds,
    "child_lifetime": _seconds,
    "retransmit": _seconds,
    "retransmit_tries": _count,
    "send_certificate": _flag,
    "unique": _one_of("never", "replace", "keep"),
    "hashes": _hashes,
}


def read_facts(whose: str, facts: Facts) -> Facts:
    """Values of ``peer.*`` or ``tester.*`` as objects; FactError for a key or value that does not exist."""
    keys = PEER_KEYS if whose == "peer" else TESTER_KEYS
    found: Facts = {}
    for key, value in facts.items():
        if key not in keys:
            near = nearest(key, list(keys))
            hint = f"did you mean {whose}.{near}?" if near else f"facts are {', '.join(keys)}"
            raise FactError(key, f"there is no fact {whose}.{key}", hint)
        try:
            found[key] = keys[key](value)
        except UnknownKeywordError as error:
            hint = f"did you mean {error.suggestion!r}?" if error.suggestion else ""
            raise FactError(key, f"{whose}.{key}: unknown algorithm {error.word!r}", hint) from None
        except ScriptSyntaxError as error:
            raise FactError(key, f"{whose}.{key}: {error.message}", error.hint) from None
        except ValueError as error:
            raise FactError(key, f"{whose}.{key} {error}") from None
    return found


# Both ends of one case ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ends:
    """What the peer is set up with, and what a correct endpoint on our side is told."""

    peer: PeerSettings
    ike: tuple[Suite, ...]
    esp: tuple[Suite, ...]
    auth: Authentication
    identity: Identity
    secret: bytes
    peer_secret: bytes
    mode: str
    ts: tuple[TrafficSelector, ...]
    ts_peer: tuple[TrafficSelector, ...]
    hashes: tuple[str, ...] = field(default=())


def both_ends(case: Case, place: Environment) -> Ends:
    """Fill the defaults of a case at a place."""
    peer, tester = case.peer, case.tester
    auth = _get(peer, "auth", Authentication.PSK)
    own_auth = _get(tester, "auth", auth)
    default_secret = f"secret of case {place.slot}".encode()
    secret: bytes = _get(peer, "psk", default_secret)
    peer_id = _named(_get(peer, "id", ""), place.peer, _host(auth, place, "peer"))
    own_id = _named(_get(tester, "id", ""), place.tester, _host(own_auth, place, "tester"))
    uses_secret = Authentication.PSK in {auth, own_auth}
    there, here = ("their-end", "our-end") if peer.get("mode") == "transport" else ("theirs", "ours")
    ts: tuple[SelectorWords, ...] = _get(peer, "ts", (SelectorWords(there),))
    ts_tester: tuple[SelectorWords, ...] = _get(peer, "ts_tester", (SelectorWords(here),))
    spd: tuple[SpdLine, ...] = _get(peer, "spd", ())
    default_ike, default_esp = (parse_suite(DEFAULT_IKE),), (parse_suite(DEFAULT_ESP),)
    settings = PeerSettings(
        name=f"case-{place.slot}",
        local=place.peer,
        remote=place.tester,
        local_id=peer_id,
        remote_id=own_id,
        local_auth=auth,
        remote_auth=own_auth,
        secret=secret if uses_secret else b"",
        ike=_get(peer, "ike", default_ike),
        esp=_get(peer, "ah", _get(peer, "esp", default_esp)),
        protocol=ProtocolId.AH if "ah" in peer else ProtocolId.ESP,
        local_ts=tuple(_setting(s, place) for s in ts),
        remote_ts=tuple(_setting(s, place) for s in ts_tester),
        inner_local=place.inner_peer,
        inner_remote=place.inner_tester,
        behind=place.behind,
        spd=tuple(_spd_entry(line, place) for line in spd),
        **{key: peer[key] for key in _PASSED_ON if key in peer},  # type: ignore[arg-type]
    )
    return Ends(
        peer=settings,
        ike=_get(tester, "ike", settings.ike),
        esp=_get(tester, "esp", settings.esp),
        auth=own_auth,
        identity=own_id,
        secret=_get(tester, "psk", secret),
        peer_secret=secret,
        mode=_get(tester, "mode", settings.mode),
        ts=tuple(on_wire(s, place) for s in _get(tester, "ts", ts_tester)),
        ts_peer=tuple(on_wire(s, place) for s in _get(tester, "ts_peer", ts)),
        hashes=_get(tester, "hashes", ()),
    )


_PASSED_ON = PEER_KEYS.keys() - {"ike", "esp", "auth", "id", "psk", "ts", "ts_tester", "spd", "ah"}


def _get(facts: Facts, key: str, default: T) -> T:
    return facts.get(key, default)  # type: ignore[return-value]


def _host(auth: Authentication, place: Environment, side: str) -> str:
    """The default identity: the name in the certificate, or a name of the case."""
    if place.pki is not None and auth in place.pki.mine:
        return place.pki.host if side == "tester" else place.pki.peer_host
    return f"{side}-{place.slot}.example.org"


def _named(text: str, address: Address, default: str) -> Identity:
    if text == "address":
        return Identity("ipv6" if address.is_ipv6 else "ipv4", address.host)
    kind, _, value = text.partition(":")
    return Identity(kind, value) if text else Identity("fqdn", default)


def addresses(words: SelectorWords, place: Environment) -> tuple[str, str]:
    """First and last address of a selector at a place."""
    ours, theirs = ipaddress.ip_address(place.inner_tester), ipaddress.ip_address(place.inner_peer)
    prefix = 24 if ours.version == 4 else 64
    everything = "0.0.0.0/0" if ours.version == 4 else "::/0"
    other = "192.0.2.128/25" if ours.version == 4 else "2001:db8:dead::/64"
    named = {
        "ours": str(ours),
        "theirs": str(theirs),
        "our-net": f"{ours}/{prefix}",
        "their-net": f"{theirs}/{prefix}",
        "our-end": place.tester.host,
        "their-end": place.peer.host,
        "behind": place.behind or str(theirs + 120),
        "other-net": other,
        "any": everything,
    }
    text = named.get(words.where, words.where)
    if "-" in text:
        first, last = text.split("-", 1)
        return str(ipaddress.ip_address(first)), str(ipaddress.ip_address(last))
    network = ipaddress.ip_network(text, strict=False)
    return str(network[0]), str(network[-1])


def on_wire(words: SelectorWords, place: Environment) -> TrafficSelector:
    """The selector as it stands in a TS payload."""
    first, last = addresses(words, place)
    return TrafficSelector.of(f"{first}-{last}", words.protocol, words.ports)


def _spd_entry(line: SpdLine, place: Environment) -> SpdEntry:
    if line.theirs is None or line.ours is None:
        return SpdEntry(line.action)
    return SpdEntry(line.action, _setting(line.theirs, place), _setting(line.ours, place), line.child)


def _setting(words: SelectorWords, place: Environment) -> Selector:
    return Selector(*addresses(words, place), words.protocol, *words.ports)
