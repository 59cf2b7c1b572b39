"""Which transforms of a proposal can be carried out."""

from collections.abc import Callable

from ipsectest.base.iana import ExtendedSequenceNumbers, IntegrityAlgorithm, KeyExchangeMethod, TransformType
from ipsectest.base.suites import TransformSpec
from ipsectest.crypto.ciphers import cipher
from ipsectest.crypto.errors import UnsupportedAlgorithmError
from ipsectest.crypto.exchanges import key_exchange
from ipsectest.crypto.integrities import integrity
from ipsectest.crypto.prfs import prf


def supported(spec: TransformSpec) -> bool:
    """Whether there is an implementation; NONE of integrity and key exchange counts as one.

    A Key Length attribute is right where the algorithm has one, and nowhere else.
    """
    lookup = _LOOKUPS.get(spec.type)
    if lookup is None:
        return spec.type == TransformType.ESN and spec.key_length is None and spec.id in set(ExtendedSequenceNumbers)
    try:
        lookup(spec)
    except UnsupportedAlgorithmError:
        return False
    return True


def _plain(find: Callable[[int], object], *without: int) -> Callable[[TransformSpec], object]:
    """A lookup for types without attributes; the numbers ``without`` need no implementation."""

    def lookup(spec: TransformSpec) -> object:
        if spec.key_length is not None:
            raise UnsupportedAlgorithmError(f"{spec.name} has no Key Length attribute")
        return None if spec.id in without else find(spec.id)

    return lookup


_KEY_EXCHANGE = _plain(key_exchange, KeyExchangeMethod.NONE)
_LOOKUPS: dict[int, Callable[[TransformSpec], object]] = {
    TransformType.ENCR: lambda spec: cipher(spec.id, spec.key_length),
    TransformType.PRF: _plain(prf),
    TransformType.INTEG: _plain(integrity, IntegrityAlgorithm.NONE),
    TransformType.KE: _KEY_EXCHANGE,
    **dict.fromkeys(range(TransformType.ADDKE1, TransformType.ADDKE7 + 1), _KEY_EXCHANGE),
}
