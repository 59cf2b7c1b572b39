"""Names of algorithms as daemons log them: ``AES_CBC_256``, ``HMAC_SHA2_256_128``, ``PRF_HMAC_SHA1``.

strongSwan and Libreswan differ in little; a key length in bits may follow a cipher. Key lengths are taken from keys.
"""

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.iana import IntegrityAlgorithm as Integ
from ipsectest.base.iana import PseudorandomFunction as Prf

_CIPHERS: dict[str, int] = {
    "AES_CBC": Encr.ENCR_AES_CBC,
    "AES_CTR": Encr.ENCR_AES_CTR,
    "AES_CCM_8": Encr.ENCR_AES_CCM_8,
    "AES_CCM_12": Encr.ENCR_AES_CCM_12,
    "AES_CCM_16": Encr.ENCR_AES_CCM_16,
    "AES_GCM_8": Encr.ENCR_AES_GCM_8,
    "AES_GCM_12": Encr.ENCR_AES_GCM_12,
    "AES_GCM_16": Encr.ENCR_AES_GCM_16,
    "AES_CCM_A": Encr.ENCR_AES_CCM_8,
    "AES_CCM_B": Encr.ENCR_AES_CCM_12,
    "AES_CCM_C": Encr.ENCR_AES_CCM_16,
    "AES_GCM_A": Encr.ENCR_AES_GCM_8,
    "AES_GCM_B": Encr.ENCR_AES_GCM_12,
    "AES_GCM_C": Encr.ENCR_AES_GCM_16,
    "NULL_AES_GMAC": Encr.ENCR_NULL_AUTH_AES_GMAC,
    "NULL_AUTH_AES_GMAC": Encr.ENCR_NULL_AUTH_AES_GMAC,
    "CAMELLIA_CBC": Encr.ENCR_CAMELLIA_CBC,
    "CAMELLIA_CTR": Encr.ENCR_CAMELLIA_CTR,
    "CAMELLIA_CCM_8": Encr.ENCR_CAMELLIA_CCM_8,
    "CAMELLIA_CCM_12": Encr.ENCR_CAMELLIA_CCM_12,
    "CAMELLIA_CCM_16": Encr.ENCR_CAMELLIA_CCM_16,
    "CHACHA20_POLY1305": Encr.ENCR_CHACHA20_POLY1305,
    "3DES_CBC": Encr.ENCR_3DES,
    "DES_CBC": Encr.ENCR_DES,
    "BLOWFISH_CBC": Encr.ENCR_BLOWFISH,
    "CAST_CBC": Encr.ENCR_CAST,
    "NULL": Encr.ENCR_NULL,
}
_INTEGRITIES: dict[str, int] = {
    "HMAC_MD5_96": Integ.AUTH_HMAC_MD5_96,
    "HMAC_MD5_128": Integ.AUTH_HMAC_MD5_128,
    "HMAC_SHA1_96": Integ.AUTH_HMAC_SHA1_96,
    "HMAC_SHA1_160": Integ.AUTH_HMAC_SHA1_160,
    "HMAC_SHA2_256_128": Integ.AUTH_HMAC_SHA2_256_128,
    "HMAC_SHA2_384_192": Integ.AUTH_HMAC_SHA2_384_192,
    "HMAC_SHA2_512_256": Integ.AUTH_HMAC_SHA2_512_256,
    "AES_XCBC_96": Integ.AUTH_AES_XCBC_96,
    "AES_CMAC_96": Integ.AUTH_AES_CMAC_96,
    "AES_128_GMAC": Integ.AUTH_AES_128_GMAC,
    "AES_192_GMAC": Integ.AUTH_AES_192_GMAC,
    "AES_256_GMAC": Integ.AUTH_AES_256_GMAC,
}
_PRFS: dict[str, int] = {
    "PRF_HMAC_MD5": Prf.PRF_HMAC_MD5,
    "PRF_HMAC_SHA1": Prf.PRF_HMAC_SHA1,
    "PRF_HMAC_SHA2_256": Prf.PRF_HMAC_SHA2_256,
    "PRF_HMAC_SHA2_384": Prf.PRF_HMAC_SHA2_384,
    "PRF_HMAC_SHA2_512": Prf.PRF_HMAC_SHA2_512,
    "PRF_AES128_XCBC": Prf.PRF_AES128_XCBC,
    "PRF_AES128_CMAC": Prf.PRF_AES128_CMAC,
}


def cipher(word: str) -> int | None:
    """Transform ID of type 1."""
    if word in _CIPHERS:
        return _CIPHERS[word]
    name, _, bits = word.rpartition("_")
    return _CIPHERS.get(name) if bits.isascii() and bits.isdigit() else None


def integrity(word: str) -> int | None:
    """Transform ID of type 3."""
    return _INTEGRITIES.get(word)


def prf(word: str) -> int | None:
    """Transform ID of type 2."""
    return _PRFS.get(word)
