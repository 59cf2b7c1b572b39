"""Elliptic-curve Diffie-Hellman: ECP (RFC 5903, 5114), Brainpool (RFC 6954), Curve25519 and Curve448 (RFC 8031)."""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from ipsectest.base.clock import RandomBytes
from ipsectest.base.iana import KeyExchangeMethod as Ke
from ipsectest.crypto.agreement import KeyExchange
from ipsectest.crypto.errors import InvalidPublicValueError

WEIERSTRASS: dict[int, ec.EllipticCurve] = {
    Ke.ECP_192: ec.SECP192R1(),
    Ke.ECP_224: ec.SECP224R1(),
    Ke.ECP_256: ec.SECP256R1(),
    Ke.ECP_384: ec.SECP384R1(),
    Ke.ECP_521: ec.SECP521R1(),
    Ke.BRAINPOOL_P256R1: ec.BrainpoolP256R1(),
    Ke.BRAINPOOL_P384R1: ec.BrainpoolP384R1(),
    Ke.BRAINPOOL_P512R1: ec.BrainpoolP512R1(),
}
"""Group number -> curve; brainpoolP224r1 (27) is not in the library."""

_ECDH = ec.ECDH()


class Weierstrass(KeyExchange):
    """ECDH whose public value is x || y and whose secret is x (RFC 5903 sections 7 and 9)."""

    __slots__ = ("curve",)

    def __init__(self, group: int, curve: ec.EllipticCurve) -> None:
        super().__init__(group, 2 * ((curve.key_size + 7) // 8))
        self.curve = curve

    def initiate(self, random: RandomBytes) -> "_WeierstrassShare":
        """A share with a private key made of ``random``."""
        # 64 bits more than the order has make the bias of the reduction negligible.
        drawn = int.from_bytes(random(self.public_length // 2 + 8), "big")
        scalar = drawn % (self.curve.group_order - 1) + 1
        return _WeierstrassShare(self, ec.derive_private_key(scalar, self.curve))

    def from_private(self, private: bytes) -> "_WeierstrassShare":
        """The share of a scalar."""
        return _WeierstrassShare(self, ec.derive_private_key(int.from_bytes(private, "big"), self.curve))


class _WeierstrassShare:
    __slots__ = ("_exchange", "_private", "public")

    def __init__(self, exchange: Weierstrass, private: ec.EllipticCurvePrivateKey) -> None:
        self._exchange = exchange
        self._private = private
        numbers = private.public_key().public_numbers()
        size = exchange.public_length // 2
        self.public = numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")

    def finish(self, peer_public: bytes) -> bytes:
        if len(peer_public) != self._exchange.public_length:
            raise InvalidPublicValueError(
                f"public value of {len(peer_public)} octets, not {self._exchange.public_length}"
            )
        try:
            # The library checks that the point lies on the curve (RFC 6989 section 2.3).
            peer = ec.EllipticCurvePublicKey.from_encoded_point(self._exchange.curve, b"\x04" + peer_public)
            return self._private.exchange(_ECDH, peer)
        except ValueError as error:
            raise InvalidPublicValueError("point not on the curve") from error


class Curve25519(KeyExchange):
    """X25519, group 31."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Ke.CURVE25519, 32)

    def initiate(self, random: RandomBytes) -> "_X25519Share":
        """A share with a private key made of ``random``."""
        return _X25519Share(X25519PrivateKey.from_private_bytes(random(32)))

    def from_private(self, private: bytes) -> "_X25519Share":
        """The share of 32 octets."""
        return _X25519Share(X25519PrivateKey.from_private_bytes(private))


class _X25519Share:
    __slots__ = ("_private", "public")

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    def finish(self, peer_public: bytes) -> bytes:
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(peer_public))
        except ValueError as error:
            raise _bad_montgomery(peer_public, 32) from error


class Curve448(KeyExchange):
    """X448, group 32."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Ke.CURVE448, 56)

    def initiate(self, random: RandomBytes) -> "_X448Share":
        """A share with a private key made of ``random``."""
        return _X448Share(X448PrivateKey.from_private_bytes(random(56)))

    def from_private(self, private: bytes) -> "_X448Share":
        """The share of 56 octets."""
        return _X448Share(X448PrivateKey.from_private_bytes(private))


class _X448Share:
    __slots__ = ("_private", "public")

    def __init__(self, private: X448PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    def finish(self, peer_public: bytes) -> bytes:
        try:
            return self._private.exchange(X448PublicKey.from_public_bytes(peer_public))
        except ValueError as error:
            raise _bad_montgomery(peer_public, 56) from error


def _bad_montgomery(public: bytes, length: int) -> InvalidPublicValueError:
    # The library rejects wrong lengths and the all-zero secret (RFC 8031 section 2.1, RFC 7748 section 6).
    if len(public) != length:
        return InvalidPublicValueError(f"public value of {len(public)} octets, not {length}")
    return InvalidPublicValueError("public value of low order")
