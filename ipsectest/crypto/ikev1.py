"""Key derivation of IKEv1 (RFC 2409 sections 5 and 5.5, appendix B)."""

import hashlib

from ipsectest.crypto.prfs import Prf


def skeyid_of_psk(prf: Prf, pre_shared_key: bytes, nonces: bytes) -> bytes:
    """SKEYID of pre-shared keys: prf(key, Ni_b | Nr_b)."""
    return prf.compute(pre_shared_key, nonces)


def skeyid_of_signatures(prf: Prf, nonces: bytes, secret: bytes) -> bytes:
    """SKEYID of signatures: prf(Ni_b | Nr_b, g^xy)."""
    return prf.compute(nonces, secret)


def skeyids(prf: Prf, skeyid: bytes, secret: bytes, cookies: bytes) -> tuple[bytes, bytes, bytes]:
    """SKEYID_d, SKEYID_a and SKEYID_e, each made of the one before; ``secret`` is g^xy, ``cookies`` CKY-I | CKY-R."""
    made, last = [], b""
    for number in range(3):
        last = prf.compute(skeyid, last + secret + cookies + bytes((number,)))
        made.append(last)
    return made[0], made[1], made[2]


def cipher_key(prf: Prf, skeyid_e: bytes, length: int) -> bytes:
    """The key of phase 1: SKEYID_e cut, or K1 | K2 ... with K1 = prf(SKEYID_e, 0), Kn = prf(SKEYID_e, Kn-1)."""
    if len(skeyid_e) >= length:
        return skeyid_e[:length]
    block, key = b"\0", b""
    while len(key) < length:
        block = prf.compute(skeyid_e, block)
        key += block
    return key[:length]


def first_iv(hash_name: str, publics: bytes, block: int) -> bytes:
    """The IV of the first encrypted message: hash(g^xi | g^xr), cut to a block."""
    return hashlib.new(hash_name, publics, usedforsecurity=False).digest()[:block]


def later_iv(hash_name: str, last: bytes, message_id: int) -> bytes:
    """The IV of the first message of an exchange after phase 1, whose ``last`` block of ciphertext goes in."""
    made = hashlib.new(hash_name, last + message_id.to_bytes(4, "big"), usedforsecurity=False)
    return made.digest()[: len(last)]


def keymat(prf: Prf, skeyid_d: bytes, seed: bytes, length: int) -> bytes:
    """KEYMAT = K1 | K2 ..., K1 = prf(SKEYID_d, seed), Kn = prf(SKEYID_d, Kn-1 | seed).

    ``seed`` is [g(qm)^xy |] protocol | SPI | Ni_b | Nr_b, so each of both SAs has its own.
    """
    block = key = prf.compute(skeyid_d, seed)
    while len(key) < length:
        block = prf.compute(skeyid_d, block + seed)
        key += block
    return key[:length]
