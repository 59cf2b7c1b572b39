"""Keys of phase 1 out of g^xy, with pre-shared keys or, where signatures authenticate, without (RFC 2409 section 5)."""

from collections.abc import Iterator
from dataclasses import dataclass

from ipsectest.crypto import prf
from ipsectest.crypto.ikev1 import skeyid_of_psk, skeyid_of_signatures, skeyids
from ipsectest.decrypt.keys.model import IkeV1Keys

_PRE_SHARED = {1, 65001, 65002}
_ENCRYPTION = {4, 5}
"""Authentication by public key encryption: its SKEYID needs nonces that travel encrypted."""


@dataclass(frozen=True, slots=True)
class Phase1:
    """What the capture tells of a phase 1 SA."""

    method: int
    """Of authentication."""
    prf: int
    nonces: bytes
    cookies: tuple[bytes, bytes]


def derive(phase1: Phase1, secret: bytes, keys: list[IkeV1Keys]) -> Iterator[IkeV1Keys]:
    """What may be the keys of a phase 1 SA: one for each pre-shared key, or one."""
    algorithm, method, nonces, cookies = prf(phase1.prf), phase1.method, phase1.nonces, phase1.cookies
    if method in _PRE_SHARED:
        shared = dict.fromkeys(one.pre_shared_key for one in keys if one.pre_shared_key)
        seeds = [skeyid_of_psk(algorithm, one, nonces) for one in shared]
    elif method in _ENCRYPTION:
        seeds = []
    else:
        seeds = [skeyid_of_signatures(algorithm, nonces, secret)]
    for seed in seeds:
        d, a, e = skeyids(algorithm, seed, secret, b"".join(cookies))
        yield IkeV1Keys(cookie_i=cookies[0], skeyid_d=d, skeyid_a=a, skeyid_e=e, origin="derived from a key exchange")
