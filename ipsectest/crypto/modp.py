"""Finite-field Diffie-Hellman: MODP groups 1, 2, 5, 14 to 18 and 22 to 24.

The primes of the safe-prime groups (RFC 2409 section 6, RFC 3526) are computed from their
definition, 2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) * pi) + k). Groups 22 to 24 (RFC 5114)
have a subgroup of order q. Public values and secrets are as long as the prime (RFC 7296 section 2.14).
"""

from functools import cache
from typing import NamedTuple

from ipsectest.base.clock import RandomBytes
from ipsectest.crypto.agreement import KeyExchange
from ipsectest.crypto.errors import InvalidPublicValueError

try:
    from gmpy2 import powmod as _powmod  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    _powmod = pow


class ModpGroup(NamedTuple):
    """Domain parameters; exponents are drawn below 2^exponent_bits, twice the strength or more."""

    prime: int
    generator: int
    order: int | None
    """Order q of the generator where it is not (prime - 1) / 2 or prime - 1."""
    exponent_bits: int


_SAFE_PRIMES = {
    # group: bits, k, exponent bits (RFC 3526 section 8 estimates 110 to 310 bits of strength)
    1: (768, 149686, 256),
    2: (1024, 129093, 256),
    5: (1536, 741804, 256),
    14: (2048, 124476, 256),
    15: (3072, 1690314, 320),
    16: (4096, 240904, 320),
    17: (6144, 929484, 384),
    18: (8192, 4743158, 448),
}


def _floor_pi(bits: int) -> int:
    """floor(2^bits * pi) by Machin's formula, with 64 guard bits."""
    one = 1 << bits + 64

    def arccot(x: int) -> int:
        power = one // x
        total, n, sign = power, 1, -1
        while power:
            power //= x * x
            n += 2
            total += sign * (power // n)
            sign = -sign
        return total

    return (16 * arccot(5) - 4 * arccot(239)) >> 64


@cache
def modp_group(group: int) -> ModpGroup | None:
    """The parameters of a group number, or None if it is no MODP group."""
    if group in _SAFE_PRIMES:
        n, k, exponent_bits = _SAFE_PRIMES[group]
        prime = 2**n - 2 ** (n - 64) - 1 + 2**64 * (_floor_pi(n - 130) + k)
        return ModpGroup(prime, 2, None, exponent_bits)
    if group in _SUBGROUPS:
        prime_hex, generator_hex, order_hex = _SUBGROUPS[group]
        order = int(order_hex, 16)
        return ModpGroup(int(prime_hex, 16), int(generator_hex, 16), order, order.bit_length())
    return None


class Modp(KeyExchange):
    """Diffie-Hellman modulo a prime."""

    __slots__ = ("_parameters",)

    def __init__(self, group: int, parameters: ModpGroup) -> None:
        super().__init__(group, (parameters.prime.bit_length() + 7) // 8)
        self._parameters = parameters

    def initiate(self, random: RandomBytes) -> "_ModpShare":
        """A share with a private key made of ``random``."""
        p = self._parameters
        # 64 bits more than needed make the bias of the reduction negligible (FIPS 186-5 A.2.1).
        ceiling = p.order or 1 << p.exponent_bits
        exponent = int.from_bytes(random(p.exponent_bits // 8 + 8), "big") % (ceiling - 1) + 1
        return _ModpShare(self, exponent)

    def public_value(self, exponent: int) -> bytes:
        """generator^exponent, padded to the length of the prime."""
        p = self._parameters
        return int(_powmod(p.generator, exponent, p.prime)).to_bytes(self.public_length, "big")

    def secret(self, exponent: int, peer_public: bytes) -> bytes:
        """peer_public^exponent after the checks of RFC 6989 sections 2.1 and 2.2."""
        if len(peer_public) != self.public_length:
            raise InvalidPublicValueError(f"public value of {len(peer_public)} octets, not {self.public_length}")
        value, prime, order = int.from_bytes(peer_public, "big"), self._parameters.prime, self._parameters.order
        if not 1 < value < prime - 1:
            raise InvalidPublicValueError("public value outside 2 .. p-2")
        if order and _powmod(value, order, prime) != 1:
            raise InvalidPublicValueError("public value outside the subgroup of order q")
        return int(_powmod(value, exponent, prime)).to_bytes(self.public_length, "big")


class _ModpShare:
    __slots__ = ("_exchange", "_exponent", "public")

    def __init__(self, exchange: Modp, exponent: int) -> None:
        self._exchange = exchange
        self._exponent = exponent
        self.public = exchange.public_value(exponent)

    def finish(self, peer_public: bytes) -> bytes:
        return self._exchange.secret(self._exponent, peer_public)


_SUBGROUPS: dict[int, tuple[str, str, str]] = {}
"""Group: prime, generator, order q in hexadecimal (RFC 5114 sections 2.1 to 2.3)."""
