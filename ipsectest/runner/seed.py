"""Randomness that a repro line brings back: each case draws from a stream of its own."""

import hashlib

from ipsectest.base.clock import RandomBytes


def stream(seed: int, label: str) -> RandomBytes:
    """A generator of octets that depends on seed and label only: SHA-256 of both and a counter.

    For tests only: whoever knows the seed knows every key of the run.
    """
    key = hashlib.sha256(f"ipsectest {seed} {label}".encode()).digest()
    pool = bytearray()
    counter = 0

    def draw(count: int) -> bytes:
        nonlocal counter
        while len(pool) < count:
            pool.extend(hashlib.sha256(key + counter.to_bytes(8, "big")).digest())
            counter += 1
        drawn = bytes(pool[:count])
        del pool[:count]
        return drawn

    return draw
