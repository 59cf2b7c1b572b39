"""What keeps two lists of proposals apart: the closest pair, and the kinds of algorithm that differ in it."""

from collections.abc import Iterable

from ipsectest.base.iana import TransformType
from ipsectest.base.suites import TransformSpec, UnknownKeywordError, parse_suite

_KINDS = {
    TransformType.ENCR: "cipher",
    TransformType.INTEG: "integrity",
    TransformType.PRF: "PRF",
    TransformType.KE: "group",
    TransformType.ESN: "sequence numbers",
}
_MOST = 16
_Suite = dict[int, set[TransformSpec]]


def gap(offers: Iterable[str], takes: Iterable[str]) -> str:
    """``cipher (aes128; aes256) and group (x25519; ecp384)``; empty if a word is not known, or nothing differs."""
    pairs = [(_read(offer), _read(take)) for offer in list(offers)[:_MOST] for take in list(takes)[:_MOST]]
    differing = [_differing(*pair) for pair in pairs if all(pair)]
    if not differing:
        return ""
    closest = min(differing, key=len)
    return " and ".join(closest)


def _differing(offer: _Suite, take: _Suite) -> list[str]:
    found = []
    for kind, name in _KINDS.items():
        left, right = offer.get(kind, set()), take.get(kind, set())
        if kind == TransformType.INTEG and not (left and right):
            continue  # an AEAD cipher on one side: the cipher differs anyway
        if kind == TransformType.ESN and not (left and right):
            continue  # logs leave out what is the default
        if (left or right) and not left & right:
            found.append(f"{name} ({_words(left)}; {_words(right)})")
    return found


def _words(specs: set[TransformSpec]) -> str:
    return ", ".join(sorted(map(str, specs))) or "none"


def _read(text: str) -> _Suite:
    suite: _Suite = {}
    try:
        for spec in parse_suite(text):
            suite.setdefault(spec.type, set()).add(spec)
    except UnknownKeywordError:
        return {}
    return suite
