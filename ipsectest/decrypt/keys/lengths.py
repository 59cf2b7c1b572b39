"""Key lengths tell the key size of a cipher, and whether octets can be a key of it at all."""

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.iana import IntegrityAlgorithm as Integ
from ipsectest.base.iana import TransformType, name_of
from ipsectest.base.suites import TransformSpec

_AES_SIZES = (128, 192, 256)
_SALTS: dict[int, int] = {
    Encr.ENCR_AES_CTR: 4,
    Encr.ENCR_AES_CCM_8: 3,
    Encr.ENCR_AES_CCM_12: 3,
    Encr.ENCR_AES_CCM_16: 3,
    Encr.ENCR_AES_GCM_8: 4,
    Encr.ENCR_AES_GCM_12: 4,
    Encr.ENCR_AES_GCM_16: 4,
    Encr.ENCR_NULL_AUTH_AES_GMAC: 4,
    Encr.ENCR_CAMELLIA_CTR: 4,
    Encr.ENCR_CAMELLIA_CCM_8: 3,
    Encr.ENCR_CAMELLIA_CCM_12: 3,
    Encr.ENCR_CAMELLIA_CCM_16: 3,
    Encr.ENCR_CHACHA20_POLY1305: 4,
    Encr.ENCR_AES_CCM_8_IIV: 3,
    Encr.ENCR_AES_GCM_16_IIV: 4,
    Encr.ENCR_CHACHA20_POLY1305_IIV: 4,
}
"""Octets of salt that follow the cipher key in KEYMAT (RFC 3686, 4106, 4309, 4543, 5529, 7634)."""
_FIXED: dict[int, int] = {
    Encr.ENCR_DES: 8,
    Encr.ENCR_3DES: 24,
    Encr.ENCR_NULL: 0,
    Encr.ENCR_CHACHA20_POLY1305: 32,
    Encr.ENCR_CHACHA20_POLY1305_IIV: 32,
}
_RANGES: dict[int, tuple[int, int]] = {Encr.ENCR_CAST: (5, 16), Encr.ENCR_BLOWFISH: (5, 56)}
"""RFC 2451 section 2.2, octets."""
_VARIABLE: set[int] = {Encr.ENCR_AES_CBC, Encr.ENCR_CAMELLIA_CBC, *_SALTS} - set(_FIXED)
AEADS: dict[int, int] = {
    Encr.ENCR_AES_CCM_8: 8,
    Encr.ENCR_AES_CCM_12: 12,
    Encr.ENCR_AES_CCM_16: 16,
    Encr.ENCR_AES_GCM_8: 8,
    Encr.ENCR_AES_GCM_12: 12,
    Encr.ENCR_AES_GCM_16: 16,
    Encr.ENCR_NULL_AUTH_AES_GMAC: 16,
    Encr.ENCR_CAMELLIA_CCM_8: 8,
    Encr.ENCR_CAMELLIA_CCM_12: 12,
    Encr.ENCR_CAMELLIA_CCM_16: 16,
    Encr.ENCR_CHACHA20_POLY1305: 16,
    Encr.ENCR_AES_CCM_8_IIV: 8,
    Encr.ENCR_AES_GCM_16_IIV: 16,
    Encr.ENCR_CHACHA20_POLY1305_IIV: 16,
}
"""Octets of the ICV of each combined-mode algorithm."""
INTEGRITY_KEYS: dict[int, int] = {
    Integ.AUTH_HMAC_MD5_96: 16,
    Integ.AUTH_HMAC_SHA1_96: 20,
    Integ.AUTH_AES_XCBC_96: 16,
    Integ.AUTH_HMAC_MD5_128: 16,
    Integ.AUTH_HMAC_SHA1_160: 20,
    Integ.AUTH_AES_CMAC_96: 16,
    Integ.AUTH_AES_128_GMAC: 20,
    Integ.AUTH_AES_192_GMAC: 28,
    Integ.AUTH_AES_256_GMAC: 36,
    Integ.AUTH_HMAC_SHA2_256_128: 32,
    Integ.AUTH_HMAC_SHA2_384_192: 48,
    Integ.AUTH_HMAC_SHA2_512_256: 64,
}
"""Octets of key; 20, 28 and 36 include the salt (RFC 4543 section 5.3)."""


class KeyLengthError(ValueError):
    """The octets cannot be a key of the algorithm."""


def salt_length(encryption: int) -> int:
    """Octets of salt after the cipher key."""
    return _SALTS.get(encryption, 0)


def encryption(number: int, key: bytes, *, salted: bool = True) -> TransformSpec:
    """The transform of a cipher whose key (with salt, unless ``salted`` is False) this is; KeyLengthError."""
    octets = len(key) - (salt_length(number) if salted else 0)
    name = name_of(Encr, number)
    if number in _VARIABLE:
        if octets * 8 not in _AES_SIZES:
            raise KeyLengthError(f"{name} takes {_choices(number, salted)} octets of key, not {len(key)}")
        return TransformSpec(TransformType.ENCR, number, octets * 8)
    if number in _RANGES:
        low, high = _RANGES[number]
        if not low <= octets <= high:
            raise KeyLengthError(f"{name} takes {low} to {high} octets of key, not {len(key)}")
        return TransformSpec(TransformType.ENCR, number, octets * 8)
    if octets != _FIXED.get(number, octets):
        raise KeyLengthError(f"{name} takes {len(key) - octets + _FIXED[number]} octets of key, not {len(key)}")
    return TransformSpec(TransformType.ENCR, number)


def integrity(number: int, key: bytes) -> TransformSpec:
    """The transform of an integrity algorithm whose key this is; KeyLengthError."""
    wanted = INTEGRITY_KEYS.get(number, len(key))
    if len(key) != wanted:
        raise KeyLengthError(f"{name_of(Integ, number)} takes {wanted} octets of key, not {len(key)}")
    return TransformSpec(TransformType.INTEG, number)


def _choices(number: int, salted: bool) -> str:
    salt = salt_length(number) if salted else 0
    first, second, third = (size // 8 + salt for size in _AES_SIZES)
    return f"{first}, {second} or {third}"
