"""Linux's names of algorithms (net/xfrm/xfrm_algo.c) and IANA numbers, for what ip(8) and netlink say.

A test holds them against ``net.xfrm.algorithms``, which needs pyroute2 and so is not imported here.
"""

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.iana import IntegrityAlgorithm as Integ
from ipsectest.base.suites import TransformSpec
from ipsectest.decrypt.keys import lengths

AEADS: dict[tuple[str, int], int] = {
    ("rfc4106(gcm(aes))", 64): Encr.ENCR_AES_GCM_8,
    ("rfc4106(gcm(aes))", 96): Encr.ENCR_AES_GCM_12,
    ("rfc4106(gcm(aes))", 128): Encr.ENCR_AES_GCM_16,
    ("rfc4309(ccm(aes))", 64): Encr.ENCR_AES_CCM_8,
    ("rfc4309(ccm(aes))", 96): Encr.ENCR_AES_CCM_12,
    ("rfc4309(ccm(aes))", 128): Encr.ENCR_AES_CCM_16,
    ("rfc4543(gcm(aes))", 128): Encr.ENCR_NULL_AUTH_AES_GMAC,
    ("rfc7539esp(chacha20,poly1305)", 128): Encr.ENCR_CHACHA20_POLY1305,
}
"""Name and bits of ICV -> Transform ID of type 1."""
CIPHERS: dict[str, int] = {
    "cbc(aes)": Encr.ENCR_AES_CBC,
    "rfc3686(ctr(aes))": Encr.ENCR_AES_CTR,
    "cbc(camellia)": Encr.ENCR_CAMELLIA_CBC,
    "cbc(des3_ede)": Encr.ENCR_3DES,
    "cbc(des)": Encr.ENCR_DES,
    "cbc(cast5)": Encr.ENCR_CAST,
    "cbc(blowfish)": Encr.ENCR_BLOWFISH,
    "ecb(cipher_null)": Encr.ENCR_NULL,
}
ALIASES = {
    "aes": "cbc(aes)",
    "camellia": "cbc(camellia)",
    "des3_ede": "cbc(des3_ede)",
    "des": "cbc(des)",
    "cast5": "cbc(cast5)",
    "blowfish": "cbc(blowfish)",
    "cipher_null": "ecb(cipher_null)",
    "xcbc": "xcbc(aes)",
    **{name: f"hmac({name})" for name in ("md5", "sha1", "sha256", "sha384", "sha512")},
}
"""Short names that the kernel takes too."""
INTEGRITIES: dict[tuple[str, int], int] = {
    ("hmac(md5)", 96): Integ.AUTH_HMAC_MD5_96,
    ("hmac(md5)", 128): Integ.AUTH_HMAC_MD5_128,
    ("hmac(sha1)", 96): Integ.AUTH_HMAC_SHA1_96,
    ("hmac(sha1)", 160): Integ.AUTH_HMAC_SHA1_160,
    ("hmac(sha256)", 128): Integ.AUTH_HMAC_SHA2_256_128,
    ("hmac(sha384)", 192): Integ.AUTH_HMAC_SHA2_384_192,
    ("hmac(sha512)", 256): Integ.AUTH_HMAC_SHA2_512_256,
    ("xcbc(aes)", 96): Integ.AUTH_AES_XCBC_96,
    ("cmac(aes)", 96): Integ.AUTH_AES_CMAC_96,
}
"""Name and bits of ICV -> Transform ID of type 3."""
_DEFAULT_BITS = {
    "hmac(md5)": 96,
    "hmac(sha1)": 96,
    "hmac(sha256)": 96,
    "hmac(sha384)": 192,
    "hmac(sha512)": 256,
    "hmac(rmd160)": 96,
    "hmac(sm3)": 256,
    "xcbc(aes)": 96,
    "cmac(aes)": 96,
    "digest_null": 0,
}
"""Bits of ICV that the kernel takes for ``auth`` without a length; 96 for SHA-256 is older than RFC 4868."""
_MOST_BITS = 512


class UnknownNameError(ValueError):
    """Nothing here has such an algorithm."""


def aead(name: str, key: bytes, icv_bits: int) -> TransformSpec:
    """A combined-mode algorithm; UnknownNameError or KeyLengthError."""
    number = AEADS.get((name, icv_bits))
    if number is None:
        raise UnknownNameError(f"nothing here decrypts {name} with {icv_bits} bits of ICV")
    return lengths.encryption(number, key)


def cipher(name: str, key: bytes) -> TransformSpec:
    """A cipher; UnknownNameError or KeyLengthError."""
    number = CIPHERS.get(ALIASES.get(name, name))
    if number is None:
        raise UnknownNameError(f"nothing here decrypts {name}")
    return lengths.encryption(number, key)


def authentication(name: str, key: bytes, icv_bits: int | None) -> tuple[TransformSpec | None, int]:
    """An integrity algorithm and 0, or None and the octets of an ICV that IKEv2 has no number for.

    UnknownNameError or KeyLengthError.
    """
    name = ALIASES.get(name, name)
    bits = _DEFAULT_BITS.get(name, 0) if icv_bits is None else icv_bits
    number = INTEGRITIES.get((name, bits))
    if number is not None:
        return lengths.integrity(number, key), 0
    if name not in _DEFAULT_BITS or bits % 8 or bits > _MOST_BITS:
        raise UnknownNameError(f"nothing here knows {name} with {bits} bits of ICV")
    return None, bits // 8
