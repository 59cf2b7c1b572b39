"""The kernel's names of algorithms, by IANA numbers of IKEv2 (Transform Types 1 and 3).

The names are those of net/xfrm/xfrm_algo.c, which knows no other ones. Absent there: Camellia in CTR and CCM,
AES-GMAC for AH, ciphers with an implicit IV (RFC 8750), the MGM ciphers.
"""

from collections.abc import Mapping

from ipsectest.net.xfrm.records import Aead, Algorithm, Authentication

_CIPHERS: Mapping[int, str] = {
    2: "cbc(des)",
    3: "cbc(des3_ede)",
    6: "cbc(cast5)",
    7: "cbc(blowfish)",
    11: "ecb(cipher_null)",
    12: "cbc(aes)",
    13: "rfc3686(ctr(aes))",
    23: "cbc(camellia)",
}
_AEADS: Mapping[int, tuple[str, int]] = {
    14: ("rfc4309(ccm(aes))", 64),
    15: ("rfc4309(ccm(aes))", 96),
    16: ("rfc4309(ccm(aes))", 128),
    18: ("rfc4106(gcm(aes))", 64),
    19: ("rfc4106(gcm(aes))", 96),
    20: ("rfc4106(gcm(aes))", 128),
    21: ("rfc4543(gcm(aes))", 128),
    28: ("rfc7539esp(chacha20,poly1305)", 128),
}
_INTEGRITIES: Mapping[int, tuple[str, int]] = {
    1: ("hmac(md5)", 96),
    2: ("hmac(sha1)", 96),
    5: ("xcbc(aes)", 96),
    6: ("hmac(md5)", 128),
    7: ("hmac(sha1)", 160),
    8: ("cmac(aes)", 96),
    12: ("hmac(sha256)", 128),
    13: ("hmac(sha384)", 192),
    14: ("hmac(sha512)", 256),
}
COMPRESSIONS: Mapping[int, str] = {2: "deflate", 3: "lzs", 4: "lzjh"}
"""IPComp Transform IDs (RFC 7296 section 3.10.1)."""


def encryption(number: int, key: bytes) -> Aead | Algorithm:
    """An encryption algorithm with its key, salt at the end. Raises ValueError where Linux has none."""
    if number in _AEADS:
        name, icv_bits = _AEADS[number]
        return Aead(name, key, icv_bits)
    if number in _CIPHERS:
        return Algorithm(_CIPHERS[number], key)
    raise ValueError(f"Linux has no ESP encryption algorithm {number}")


def integrity(number: int, key: bytes) -> Authentication:
    """An integrity algorithm with the ICV length of its RFC. Raises ValueError where Linux has none."""
    if number not in _INTEGRITIES:
        raise ValueError(f"Linux has no integrity algorithm {number} for ESP and AH")
    name, icv_bits = _INTEGRITIES[number]
    return Authentication(name, key, icv_bits)
