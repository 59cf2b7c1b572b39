"""What can go wrong with cryptography: an algorithm we lack, a forged packet, a bad public value."""

from ipsectest.base.errors import UnsupportedError


class UnsupportedAlgorithmError(UnsupportedError):
    """No implementation for an algorithm number (with this key length)."""


class IntegrityError(Exception):
    """Octets from the wire do not decrypt: wrong ICV, or a length the cipher cannot have made."""


class InvalidPublicValueError(ValueError):
    """A peer's key-exchange value fails the checks of RFC 6989 (or of its own definition)."""
