"""What all key exchange methods (Transform Type 4) have in common, be they Diffie-Hellman or a KEM."""

from abc import ABC, abstractmethod
from typing import Protocol

from ipsectest.base.clock import RandomBytes
from ipsectest.crypto.errors import UnsupportedAlgorithmError


class KeyShare(Protocol):
    """The initiator's half of an exchange, kept until the peer's value comes."""

    @property
    def public(self) -> bytes:
        """Octets of our KE payload."""
        ...

    def finish(self, peer_public: bytes) -> bytes:
        """The shared secret; InvalidPublicValueError if the peer's octets fail the checks."""
        ...


class KeyExchange(ABC):
    """One key exchange method; lengths in octets."""

    __slots__ = ("group", "public_length", "response_length")

    def __init__(self, group: int, public_length: int, response_length: int | None = None) -> None:
        self.group = group
        self.public_length = public_length
        """Of the initiator's KE payload data."""
        self.response_length = public_length if response_length is None else response_length
        """Of the responder's: the same for Diffie-Hellman, the ciphertext for a KEM."""

    @abstractmethod
    def initiate(self, random: RandomBytes) -> KeyShare:
        """A fresh key share."""

    def from_private(self, private: bytes) -> KeyShare:
        """The share of a private value that is known: a number, most significant octet first, or a curve's own octets.

        Raises ValueError for a value that cannot be one, and UnsupportedAlgorithmError for a KEM.
        """
        del private
        raise UnsupportedAlgorithmError("key exchange that has no private value of both sides")

    def respond(self, peer_public: bytes, random: RandomBytes) -> tuple[bytes, bytes]:
        """Our KE payload data and the shared secret for an initiator's value."""
        share = self.initiate(random)
        return share.public, share.finish(peer_public)
