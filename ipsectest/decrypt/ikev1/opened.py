"""What became of one IKEv1 message."""

from dataclasses import dataclass

from ipsectest.decrypt.ikev1.messages import Isakmp, Part
from ipsectest.decrypt.keys.model import IkeV1Keys


@dataclass(slots=True)
class OpenedV1:
    """A message and, if they could be had, its payloads in clear."""

    message: Isakmp
    parts: tuple[Part, ...]
    clear: bytes = b""
    """The payloads as octets, padding off."""
    failure: str = ""
    """Why it is closed still."""
    keys: IkeV1Keys | None = None
    """The keys that opened it."""
    prf: int = 0
    """The PRF of its phase 1; 0 if not known."""

    @property
    def is_encrypted(self) -> bool:
        """Whether it travelled encrypted."""
        return self.message.is_encrypted

    @property
    def is_clear(self) -> bool:
        """Whether nothing encrypted is left."""
        return not self.failure

    def rebuilt(self) -> bytes:
        """The message as every reader takes it without keys: payloads in clear, no E flag."""
        if self.failure or not self.is_encrypted:
            return self.message.data
        return self.message.in_clear(self.clear)
