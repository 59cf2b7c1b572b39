"""What charon says over vici of its SAs and algorithms, in our words."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

from ipsectest.base.iana import (
    EncryptionAlgorithm,
    IntegrityAlgorithm,
    KeyExchangeMethod,
    PseudorandomFunction,
    TransformType,
)
from ipsectest.base.suites import KEYWORDS, TransformSpec
from ipsectest.peers.reports import ChildReport, IkeReport

_KNOWN = frozenset(KEYWORDS.values())


def ike_report(sa: Mapping[str, Any]) -> IkeReport | None:
    """An entry of list-sas; None unless the IKE SA is established."""
    if sa["state"] != b"ESTABLISHED":
        return None
    children = [child for child in sa.get("child-sas", {}).values() if child["state"] == b"INSTALLED"]
    return IkeReport(
        _spi(sa, "initiator-spi", 8), _spi(sa, "responder-spi", 8), _suite(sa), tuple(map(_child_report, children))
    )


def key_exchanges(algorithms: Mapping[str, Any]) -> frozenset[int]:
    """The key exchange methods of get-algorithms: section ``ke``, ``dh`` before 6.0."""
    names = [_key_exchange(name) for name in {**algorithms.get("dh", {}), **algorithms.get("ke", {})}]
    return frozenset(KeyExchangeMethod[name].value for name in names if name in KeyExchangeMethod.__members__)


def _child_report(child: Mapping[str, Any]) -> ChildReport:
    return ChildReport(
        _spi(child, "spi-in", 4),
        _spi(child, "spi-out", 4),
        _suite(child),
        child["mode"].decode().lower(),
        child.get("encap") == b"yes",
    )


def _suite(sa: Mapping[str, Any]) -> tuple[TransformSpec, ...]:
    """Charon's names are those of IANA without the prefix of the registry."""
    bits = int(sa.get("encr-keysize", b"0"))
    method = sa.get("dh-group", sa.get("ke-method", b"")).decode()
    found = (
        _spec(TransformType.ENCR, EncryptionAlgorithm, ["ENCR_{}"], sa.get("encr-alg"), bits),
        _spec(TransformType.INTEG, IntegrityAlgorithm, ["AUTH_{}"], sa.get("integ-alg")),
        _spec(TransformType.PRF, PseudorandomFunction, ["{}", "PRF_{}"], sa.get("prf-alg")),
        _spec(TransformType.KE, KeyExchangeMethod, ["{}"], _key_exchange(method).encode()),
    )
    return tuple(spec for spec in found if spec)


def _spec(
    kind: TransformType, numbers: type[IntEnum], forms: Iterable[str], name: bytes | None, bits: int = 0
) -> TransformSpec | None:
    if not name:
        return None
    for form in forms:
        word = form.format(name.decode())
        if word in numbers.__members__:
            spec = TransformSpec(kind, numbers[word], bits or None)
            # It reports a size for ciphers too that have one only, which have no attribute for it on the wire.
            return spec if spec in _KNOWN else TransformSpec(kind, numbers[word])
    return None


def _key_exchange(name: str) -> str:
    return name.replace("CURVE_", "CURVE")


def _spi(section: Mapping[str, Any], name: str, octets: int) -> bytes:
    return bytes.fromhex(section[name].decode().zfill(2 * octets))
