"""Integrity algorithms (Transform Type 3) of IKE, ESP and AH."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ipsectest.base.iana import IntegrityAlgorithm as Integ
from ipsectest.base.iana import name_of
from ipsectest.crypto.errors import UnsupportedAlgorithmError
from ipsectest.crypto.macs import aes_cmac, aes_gmac, aes_xcbc


@dataclass(frozen=True, slots=True, eq=False)
class Integrity:
    """One integrity algorithm; sizes in octets."""

    id: int
    """Transform ID."""
    key_length: int
    """Octets taken from KEYMAT (AES-GMAC: with its 4-octet salt)."""
    icv_length: int
    """Size of the ICV field on the wire (AES-GMAC: with its IV)."""
    mac: Callable[[bytes, bytes], bytes]
    """MAC of (key, data) before truncation; of (key, IV || data) where there is an IV."""
    iv_length: int = 0
    """8 for AES-GMAC, whose ICV field is IV || tag (RFC 4543 section 4); 0 for all others."""

    def compute(self, key: bytes, data: bytes, iv: bytes = b"") -> bytes:
        """The ICV field: ``icv_length`` octets.

        ``data`` is what AH covers: the IP header with its mutable fields zero, AH with the whole ICV field
        zero (for AES-GMAC the places of IV and tag), what follows, and the high half of an extended sequence
        number (RFC 4302 section 3.3.3). ``iv`` is for AES-GMAC only, must be fresh for each packet and enters
        the nonce, not ``data``; it comes out in front of the tag (RFC 4543 section 4).
        """
        return (iv + self.mac(key, iv + data))[: self.icv_length]

    def verify(self, key: bytes, data: bytes, icv: bytes) -> bool:
        """Whether icv, the whole field of the wire, is that of data (as in `compute`); a wrong length is just wrong."""
        if len(icv) != self.icv_length:
            return False
        return hmac.compare_digest(self.compute(key, data, icv[: self.iv_length]), icv)


def _gmac(key: bytes, data: bytes) -> bytes:
    return aes_gmac(key[:-4], key[-4:] + data[:8], data[8:])


def _hmac(hash_name: str) -> Callable[[bytes, bytes], bytes]:
    return partial(hmac.digest, digest=hash_name)


_INTEGRITIES: dict[int, Integrity] = {
    algorithm.id: algorithm
    for algorithm in (
        Integrity(Integ.AUTH_HMAC_MD5_96, 16, 12, _hmac("md5")),
        Integrity(Integ.AUTH_HMAC_SHA1_96, 20, 12, _hmac("sha1")),
        Integrity(Integ.AUTH_AES_XCBC_96, 16, 12, aes_xcbc),
        Integrity(Integ.AUTH_HMAC_MD5_128, 16, 16, _hmac("md5")),
        Integrity(Integ.AUTH_HMAC_SHA1_160, 20, 20, _hmac("sha1")),
        Integrity(Integ.AUTH_AES_CMAC_96, 16, 12, aes_cmac),
        Integrity(Integ.AUTH_AES_128_GMAC, 20, 24, _gmac, 8),
        Integrity(Integ.AUTH_AES_192_GMAC, 28, 24, _gmac, 8),
        Integrity(Integ.AUTH_AES_256_GMAC, 36, 24, _gmac, 8),
        Integrity(Integ.AUTH_HMAC_SHA2_256_128, 32, 16, _hmac("sha256")),
        Integrity(Integ.AUTH_HMAC_SHA2_384_192, 48, 24, _hmac("sha384")),
        Integrity(Integ.AUTH_HMAC_SHA2_512_256, 64, 32, _hmac("sha512")),
    )
}


def integrity(integ_id: int) -> Integrity:
    """The algorithm of a Transform Type 3 ID; raises UnsupportedAlgorithmError."""
    if algorithm := _INTEGRITIES.get(integ_id):
        return algorithm
    raise UnsupportedAlgorithmError(f"integrity algorithm {name_of(Integ, integ_id)}")
