"""What pluto logs of the SAs that it has, in our words: whack tells of no algorithms."""

import re
from collections.abc import Iterable, Mapping

from ipsectest.base.iana import TransformType
from ipsectest.base.suites import KEYWORDS, TransformSpec
from ipsectest.peers.libreswan_states import State
from ipsectest.peers.reports import ChildReport, IkeReport

_SERIAL = r"#(?P<number>\d+): "
_IKE = re.compile(_SERIAL + r".*\{(?P<words>cipher=[^{}]*)\}")
_CHILD = re.compile(
    _SERIAL + r".*IPsec (?P<mode>tunnel|transport) .*"
    r"\{(?P<form>ESP|ESPinUDP|AH)=>0x(?P<out>[0-9a-f]{1,8}) <0x(?P<in>[0-9a-f]{1,8}) xfrm=(?P<suite>\S+?)[ }]"
)
_CHOSEN = re.compile(_SERIAL + r"proposal \d+:AH=(?P<suite>\S+) SPI=[0-9a-f]+ chosen ")
"""A responder's; of what AH was rekeyed with, nothing else tells the group."""
_PREFIXES = {TransformType.ENCR: "ENCR_", TransformType.INTEG: "AUTH_", TransformType.PRF: "PRF_", TransformType.KE: ""}
_KINDS = {
    "cipher": TransformType.ENCR,
    "integ": TransformType.INTEG,
    "prf": TransformType.PRF,
    "group": TransformType.KE,
}


def reports(states: Iterable[State], log: str) -> list[IkeReport]:
    """The established IKE SAs among pluto's states with their Child SAs; the log of the case has their algorithms.

    An SA whose algorithms are not in the log is reported without any. pluto tells no SPIs of IKE SAs, and as initiator
    not with which key exchange AH was rekeyed.
    """
    listed = list(states)
    suites, installed = _read(log)
    children: dict[int, list[ChildReport]] = {}
    for state in listed:
        if state.is_child and state.number in installed:
            children.setdefault(state.parent, []).append(installed[state.number])
    return [
        IkeReport(b"", b"", suites.get(state.number, ()), tuple(children.get(state.number, ())), state.number)
        for state in listed
        if state.is_ike
    ]


def _read(log: str) -> tuple[Mapping[int, tuple[TransformSpec, ...]], Mapping[int, ChildReport]]:
    """Suites of IKE SAs and reports of Child SAs, by pluto's number."""
    suites: dict[int, tuple[TransformSpec, ...]] = {}
    children: dict[int, ChildReport] = {}
    chosen: dict[int, tuple[TransformSpec, ...]] = {}
    for line in log.splitlines():
        if match := _IKE.search(line):
            words = [word.split("=", 1) for word in match["words"].split() if "=" in word]
            suites[int(match["number"])] = _specs((kind, name) for key, name in words if (kind := _KINDS.get(key)))
        elif match := _CHOSEN.search(line):
            chosen[int(match["number"])] = _ah(match["suite"])
        elif match := _CHILD.search(line):
            number, is_ah = int(match["number"]), match["form"] == "AH"
            children[number] = ChildReport(
                bytes.fromhex(match["in"].zfill(8)),
                bytes.fromhex(match["out"].zfill(8)),
                chosen.get(number, _ah(match["suite"])) if is_ah else _esp(match["suite"]),
                match["mode"],
                match["form"] == "ESPinUDP",
            )
    return suites, children


def _esp(text: str) -> tuple[TransformSpec, ...]:
    """``AES_CBC_256-HMAC_SHA2_512_256`` with ``-MODP2048`` once it was rekeyed with PFS; ``NONE`` beside an AEAD."""
    return _specs(zip((TransformType.ENCR, TransformType.INTEG, TransformType.KE), text.split("-"), strict=False))


def _ah(text: str) -> tuple[TransformSpec, ...]:
    return _specs(zip((TransformType.INTEG, TransformType.KE), text.split("-"), strict=False))


def _specs(named: Iterable[tuple[TransformType, str]]) -> tuple[TransformSpec, ...]:
    return tuple(_NAMED[kind, name] for kind, name in named if (kind, name) in _NAMED)


def _names(spec: TransformSpec) -> list[str]:
    """What pluto calls a transform."""
    name = spec.name.removeprefix(_PREFIXES.get(TransformType(spec.type), ""))
    if spec.type == TransformType.KE:
        return [name, name.replace("_", ""), f"DH{spec.id}"]
    return [name, f"{name}_256"] if name.startswith("CHACHA20") else [name]


_NAMED = {
    (TransformType(spec.type), name): spec
    for spec in KEYWORDS.values()
    if spec.type in _PREFIXES and not spec.name.endswith("NONE")
    for name in _names(spec)
}
