"""Pseudorandom functions (Transform Type 2) and prf+ (RFC 7296 section 2.13)."""

import hmac
from abc import ABC, abstractmethod
from collections.abc import Callable

from ipsectest.base.iana import PseudorandomFunction, name_of
from ipsectest.crypto.errors import UnsupportedAlgorithmError
from ipsectest.crypto.macs import aes_cmac, aes_xcbc


class Prf(ABC):
    """One PRF; lengths in octets."""

    __slots__ = ("id", "key_length", "output_length")

    def __init__(self, prf_id: int, output_length: int) -> None:
        self.id = prf_id
        self.output_length = output_length
        self.key_length = output_length
        """Preferred key size: that of SK_d, SK_pi and SK_pr (RFC 7296 section 2.14)."""

    @abstractmethod
    def compute(self, key: bytes, data: bytes) -> bytes:
        """prf(key, data): ``output_length`` octets; any key length."""

    def nonce_key(self, initiator_nonce: bytes, responder_nonce: bytes) -> bytes:
        """Ni | Nr as the key of SKEYSEED."""
        return initiator_nonce + responder_nonce

    def plus(self, key: bytes, seed: bytes, length: int) -> bytes:
        """prf+(key, seed): ``length`` octets; ValueError beyond 255 blocks, where the counter ends."""
        rounds = -(-length // self.output_length)
        if rounds > 255:
            raise ValueError(f"prf+ ends after 255 blocks of {self.output_length} octets; {length} octets asked for")
        block, blocks = b"", []
        for counter in range(1, rounds + 1):
            block = self.compute(key, block + seed + bytes([counter]))
            blocks.append(block)
        return b"".join(blocks)[:length]


class _HmacPrf(Prf):
    """HMAC with a hash of the standard library (RFC 2104, 4868)."""

    __slots__ = ("_hash",)

    def __init__(self, prf_id: int, output_length: int, hash_name: str) -> None:
        super().__init__(prf_id, output_length)
        self._hash = hash_name

    def compute(self, key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, self._hash)


class _BlockCipherPrf(Prf):
    """AES-XCBC (RFC 4434) or AES-CMAC (RFC 4615): a 16-octet MAC key made of any key."""

    __slots__ = ("_fit", "_mac")

    def __init__(self, prf_id: int, mac: Callable[[bytes, bytes], bytes], fit: Callable[[bytes], bytes]) -> None:
        super().__init__(prf_id, 16)
        self._mac = mac
        self._fit = fit

    def compute(self, key: bytes, data: bytes) -> bytes:
        return self._mac(key if len(key) == 16 else self._fit(key), data)

    def nonce_key(self, initiator_nonce: bytes, responder_nonce: bytes) -> bytes:
        """The first 64 bits of each nonce (RFC 7296 section 2.14)."""
        return initiator_nonce[:8] + responder_nonce[:8]


def _fit_xcbc(key: bytes) -> bytes:
    # RFC 4434 section 2: short keys are padded with zeros, long ones are hashed with a zero key.
    return key.ljust(16, b"\0") if len(key) < 16 else aes_xcbc(bytes(16), key)


def _fit_cmac(key: bytes) -> bytes:
    # RFC 4615 section 3: every key that is not 16 octets long is hashed, short ones too.
    return aes_cmac(bytes(16), key)


_PRFS: dict[int, Prf] = {
    algorithm.id: algorithm
    for algorithm in (
        _HmacPrf(PseudorandomFunction.PRF_HMAC_MD5, 16, "md5"),
        _HmacPrf(PseudorandomFunction.PRF_HMAC_SHA1, 20, "sha1"),
        _HmacPrf(PseudorandomFunction.PRF_HMAC_SHA2_256, 32, "sha256"),
        _HmacPrf(PseudorandomFunction.PRF_HMAC_SHA2_384, 48, "sha384"),
        _HmacPrf(PseudorandomFunction.PRF_HMAC_SHA2_512, 64, "sha512"),
        _BlockCipherPrf(PseudorandomFunction.PRF_AES128_XCBC, aes_xcbc, _fit_xcbc),
        _BlockCipherPrf(PseudorandomFunction.PRF_AES128_CMAC, aes_cmac, _fit_cmac),
    )
}


def prf(prf_id: int) -> Prf:
    """The PRF of a Transform Type 2 ID; raises UnsupportedAlgorithmError."""
    if algorithm := _PRFS.get(prf_id):
        return algorithm
    raise UnsupportedAlgorithmError(f"pseudorandom function {name_of(PseudorandomFunction, prf_id)}")
