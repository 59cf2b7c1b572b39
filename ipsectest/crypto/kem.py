"""ML-KEM-768 and ML-KEM-1024 (FIPS 203) as key exchange methods 36 and 37.

The initiator sends the encapsulation key, the responder the ciphertext. The library draws the
encapsulation's own randomness, so that a responder's ciphertext is not a function of ``random``.
"""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
    MLKEM1024PrivateKey,
    MLKEM1024PublicKey,
)

from ipsectest.base.clock import RandomBytes
from ipsectest.crypto.agreement import KeyExchange
from ipsectest.crypto.errors import InvalidPublicValueError

_SEED_LENGTH = 64
_CLASSES: dict[int, tuple[type[MLKEM768PrivateKey | MLKEM1024PrivateKey], Any, int, int]] = {
    36: (MLKEM768PrivateKey, MLKEM768PublicKey, 1184, 1088),
    37: (MLKEM1024PrivateKey, MLKEM1024PublicKey, 1568, 1568),
}


class MlKem(KeyExchange):
    """One ML-KEM parameter set."""

    __slots__ = ("_private_class", "_public_class")

    def __init__(self, group: int) -> None:
        self._private_class, self._public_class, key_length, ciphertext_length = _CLASSES[group]
        super().__init__(group, key_length, ciphertext_length)

    def initiate(self, random: RandomBytes) -> "_MlKemShare":
        """A share with a private key made of ``random``."""
        return _MlKemShare(self._private_class.from_seed_bytes(random(_SEED_LENGTH)))

    def respond(self, peer_public: bytes, random: RandomBytes) -> tuple[bytes, bytes]:
        """Ciphertext and secret for an encapsulation key."""
        del random
        try:
            # The library performs the modulus check of FIPS 203 section 7.2.
            secret, ciphertext = self._public_class.from_public_bytes(peer_public).encapsulate()
        except ValueError as error:
            raise InvalidPublicValueError("not an ML-KEM encapsulation key") from error
        return ciphertext, secret


class _MlKemShare:
    __slots__ = ("_private", "public")

    def __init__(self, private: MLKEM768PrivateKey | MLKEM1024PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    def finish(self, peer_public: bytes) -> bytes:
        try:
            # A damaged ciphertext of the right length gives another secret (implicit rejection).
            return self._private.decapsulate(peer_public)
        except ValueError as error:
            raise InvalidPublicValueError("not an ML-KEM ciphertext") from error
