"""Numbers of IKEv1: RFC 2408 section 3.1, RFC 2409 appendix A, RFC 2407 section 4.4, RFC 3947.

Its encryption, hash and ESP numbers are told in those of IKEv2 (``base.iana``), because keys are for either.
"""

from enum import IntEnum

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.iana import IntegrityAlgorithm as Integ
from ipsectest.base.iana import PseudorandomFunction as Prf


class ExchangeV1(IntEnum):
    """Exchange types."""

    BASE = 1
    MAIN_MODE = 2
    AUTHENTICATION_ONLY = 3
    AGGRESSIVE_MODE = 4
    INFORMATIONAL = 5
    TRANSACTION = 6
    QUICK_MODE = 32
    NEW_GROUP_MODE = 33


class PayloadV1(IntEnum):
    """Payload types."""

    SA = 1
    KE = 4
    ID = 5
    CERT = 6
    CR = 7
    HASH = 8
    SIG = 9
    NONCE = 10
    N = 11
    D = 12
    VID = 13
    ATTR = 14
    NAT_D = 20
    NAT_OA = 21
    NAT_D_DRAFT = 130
    NAT_OA_DRAFT = 131
    FRAGMENT = 132


class Phase1Attribute(IntEnum):
    """Of an IKE transform."""

    ENCRYPTION = 1
    HASH = 2
    AUTHENTICATION = 3
    GROUP = 4
    KEY_LENGTH = 14


class Phase2Attribute(IntEnum):
    """Of an ESP or AH transform; 11 is RFC 4304's."""

    GROUP = 3
    ENCAPSULATION = 4
    INTEGRITY = 5
    KEY_LENGTH = 6
    ESN = 11


PHASE1_CIPHERS: dict[int, int] = {
    1: Encr.ENCR_DES,
    5: Encr.ENCR_3DES,
    7: Encr.ENCR_AES_CBC,
    8: Encr.ENCR_CAMELLIA_CBC,
}
PHASE1_HASHES: dict[int, tuple[int, str]] = {
    1: (Prf.PRF_HMAC_MD5, "md5"),
    2: (Prf.PRF_HMAC_SHA1, "sha1"),
    4: (Prf.PRF_HMAC_SHA2_256, "sha256"),
    5: (Prf.PRF_HMAC_SHA2_384, "sha384"),
    6: (Prf.PRF_HMAC_SHA2_512, "sha512"),
}
"""The PRF is the HMAC of the hash (RFC 2409 section 4); the name is hashlib's."""
ESP_CIPHERS: dict[int, int] = {
    2: Encr.ENCR_DES,
    3: Encr.ENCR_3DES,
    11: Encr.ENCR_NULL,
    12: Encr.ENCR_AES_CBC,
    13: Encr.ENCR_AES_CTR,
    14: Encr.ENCR_AES_CCM_8,
    15: Encr.ENCR_AES_CCM_12,
    16: Encr.ENCR_AES_CCM_16,
    18: Encr.ENCR_AES_GCM_8,
    19: Encr.ENCR_AES_GCM_12,
    20: Encr.ENCR_AES_GCM_16,
    22: Encr.ENCR_CAMELLIA_CBC,
    23: Encr.ENCR_NULL_AUTH_AES_GMAC,
}
INTEGRITIES: dict[int, int] = {
    1: Integ.AUTH_HMAC_MD5_96,
    2: Integ.AUTH_HMAC_SHA1_96,
    5: Integ.AUTH_HMAC_SHA2_256_128,
    6: Integ.AUTH_HMAC_SHA2_384_192,
    7: Integ.AUTH_HMAC_SHA2_512_256,
    9: Integ.AUTH_AES_XCBC_96,
    11: Integ.AUTH_AES_128_GMAC,
    12: Integ.AUTH_AES_192_GMAC,
    13: Integ.AUTH_AES_256_GMAC,
}
"""Values of the attribute, for ESP and AH."""
DEFAULT_KEY_BITS: dict[int, int] = dict.fromkeys(
    (Encr.ENCR_CAMELLIA_CBC, *range(Encr.ENCR_AES_CBC, Encr.ENCR_NULL_AUTH_AES_GMAC + 1)), 128
)
"""Without the attribute (RFC 3602 section 5.3); ciphers that are not here have one size."""
