"""The names that Wireshark 4.0 to 4.4 has for algorithms in ``ikev2_decryption_table`` and ``esp_sa``."""

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.iana import IntegrityAlgorithm as Integ

_GCM = {Encr.ENCR_AES_GCM_8: 8, Encr.ENCR_AES_GCM_12: 12, Encr.ENCR_AES_GCM_16: 16}
_CCM = {Encr.ENCR_AES_CCM_8: 8, Encr.ENCR_AES_CCM_12: 12, Encr.ENCR_AES_CCM_16: 16}
IKE_ENCRYPTION: dict[tuple[int, int | None], str] = {
    (Encr.ENCR_3DES, None): "3DES [RFC2451]",
    (Encr.ENCR_NULL, None): "NULL [RFC2410]",
    **{(Encr.ENCR_AES_CBC, bits): f"AES-CBC-{bits} [RFC3602]" for bits in (128, 192, 256)},
    **{(Encr.ENCR_AES_CTR, bits): f"AES-CTR-{bits} [RFC5930]" for bits in (128, 192, 256)},
    **{(e, b): f"AES-GCM-{b} with {icv} octet ICV [RFC5282]" for e, icv in _GCM.items() for b in (128, 192, 256)},
    **{(e, b): f"AES-CCM-{b} with {icv} octet ICV [RFC5282]" for e, icv in _CCM.items() for b in (128, 192, 256)},
}
"""(transform ID, key length in bits) -> name in ``ikev2_decryption_table``."""
IKE_INTEGRITY: dict[int, str] = {
    Integ.AUTH_HMAC_MD5_96: "HMAC_MD5_96 [RFC2403]",
    Integ.AUTH_HMAC_SHA1_96: "HMAC_SHA1_96 [RFC2404]",
    Integ.AUTH_HMAC_MD5_128: "HMAC_MD5_128 [RFC4595]",
    Integ.AUTH_HMAC_SHA1_160: "HMAC_SHA1_160 [RFC4595]",
    Integ.AUTH_HMAC_SHA2_256_128: "HMAC_SHA2_256_128 [RFC4868]",
    Integ.AUTH_HMAC_SHA2_384_192: "HMAC_SHA2_384_192 [RFC4868]",
    Integ.AUTH_HMAC_SHA2_512_256: "HMAC_SHA2_512_256 [RFC4868]",
    Integ.AUTH_AES_XCBC_96: "ANY 96-bits of Authentication [No Checking]",
    Integ.AUTH_AES_CMAC_96: "ANY 96-bits of Authentication [No Checking]",
}
ESP_ENCRYPTION: dict[int, str] = {
    Encr.ENCR_NULL: "NULL",
    Encr.ENCR_3DES: "TripleDES-CBC [RFC2451]",
    Encr.ENCR_AES_CBC: "AES-CBC [RFC3602]",
    Encr.ENCR_AES_CTR: "AES-CTR [RFC3686]",
    **{encryption: f"AES-GCM with {icv} octet ICV [RFC4106]" for encryption, icv in _GCM.items()},
}
ESP_INTEGRITY: dict[int, str] = {
    Integ.AUTH_HMAC_MD5_96: "HMAC-MD5-96 [RFC2403]",
    Integ.AUTH_HMAC_SHA1_96: "HMAC-SHA-1-96 [RFC2404]",
    Integ.AUTH_HMAC_SHA2_256_128: "HMAC-SHA-256-128 [RFC4868]",
    Integ.AUTH_HMAC_SHA2_384_192: "HMAC-SHA-384-192 [RFC4868]",
    Integ.AUTH_HMAC_SHA2_512_256: "HMAC-SHA-512-256 [RFC4868]",
    Integ.AUTH_AES_XCBC_96: "ANY 96 bit authentication [no checking]",
    Integ.AUTH_AES_CMAC_96: "ANY 96 bit authentication [no checking]",
}
