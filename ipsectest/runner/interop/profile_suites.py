"""The suites of a profile, one algorithm of each kind at a time, the strongest first."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import product

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.iana import IntegrityAlgorithm as Integ
from ipsectest.base.iana import KeyExchangeMethod as Ke
from ipsectest.base.iana import PseudorandomFunction as Prf
from ipsectest.base.iana import TransformType
from ipsectest.base.suites import PRF_OF_INTEGRITY, TransformSpec, format_suite
from ipsectest.ike.config import Suite

_STRENGTH: dict[int, dict[int, int]] = {
    TransformType.ENCR: {Encr.ENCR_NULL: 0, Encr.ENCR_DES: 56, Encr.ENCR_3DES: 112, Encr.ENCR_CHACHA20_POLY1305: 256},
    TransformType.INTEG: {
        Integ.AUTH_HMAC_MD5_96: 64, Integ.AUTH_HMAC_SHA1_96: 96, Integ.AUTH_AES_XCBC_96: 128,
        Integ.AUTH_AES_CMAC_96: 128, Integ.AUTH_HMAC_SHA2_256_128: 256, Integ.AUTH_HMAC_SHA2_384_192: 384,
        Integ.AUTH_HMAC_SHA2_512_256: 512,
    },
    TransformType.PRF: {
        Prf.PRF_HMAC_MD5: 64, Prf.PRF_HMAC_SHA1: 96, Prf.PRF_AES128_XCBC: 128, Prf.PRF_AES128_CMAC: 128,
        Prf.PRF_HMAC_SHA2_256: 256, Prf.PRF_HMAC_SHA2_384: 384, Prf.PRF_HMAC_SHA2_512: 512,
    },
    TransformType.KE: {
        Ke.MODP_768: 60, Ke.MODP_1024: 80, Ke.MODP_1024_160: 80, Ke.MODP_1536: 90, Ke.MODP_2048: 112,
        Ke.MODP_2048_224: 112, Ke.MODP_2048_256: 112, Ke.MODP_3072: 128, Ke.MODP_4096: 152, Ke.MODP_6144: 176,
        Ke.MODP_8192: 192, Ke.ECP_256: 128, Ke.CURVE25519: 128, Ke.ECP_384: 192, Ke.CURVE448: 224, Ke.ECP_521: 256,
    },
}  # fmt: skip
"""Bits, roughly (NIST SP 800-57 part 1 for groups): only the order counts."""
_AEAD = 1024
"""An AEAD needs no integrity algorithm; it is preferred to the best of them."""


@lru_cache(maxsize=256)
def suites(proposals: tuple[Suite, ...]) -> list[str]:
    """Every suite that these proposals hold, as words, the strongest first; equals in the order of the proposals."""
    found = dict.fromkeys(suite for proposal in proposals for suite in _of(proposal))
    return [format_suite(suite) for suite in sorted(found, key=_strength, reverse=True)]


def _of(proposal: Suite) -> Iterable[Suite]:
    kinds: dict[int, list[TransformSpec]] = {}
    for spec in proposal:
        kinds.setdefault(spec.type, []).append(spec)
    for suite in product(*kinds.values()):
        chosen = {spec.type: spec.id for spec in suite}
        integrity, prf = chosen.get(TransformType.INTEG), chosen.get(TransformType.PRF)
        # Gateways are told one hash, which serves as both.
        if integrity is None or prf is None or PRF_OF_INTEGRITY.get(integrity, prf) == prf:
            yield suite


def _strength(suite: Suite) -> tuple[int, ...]:
    """Cipher, group, hash."""
    bits = dict.fromkeys((TransformType.ENCR, TransformType.KE, TransformType.INTEG, TransformType.PRF), 0)
    for spec in suite:
        if spec.type in bits:
            bits[TransformType(spec.type)] = spec.key_length or _STRENGTH[spec.type].get(spec.id, 0)
    bits[TransformType.INTEG] = bits[TransformType.INTEG] or _AEAD
    return tuple(bits.values())
