"""What someone beside the outputs may want to be told of a run."""

from typing import Protocol

from ipsectest.decrypt.frames import Frame
from ipsectest.decrypt.ike import Opened
from ipsectest.decrypt.ikev1 import OpenedV1
from ipsectest.decrypt.unwrap import Unwrapped
from ipsectest.wire.ip import IpPacket


class Observer(Protocol):
    """Called in the order of the capture; frames that the fast path opens are not told."""

    def message(self, frame: Frame, packet: IpPacket, octets: bytes, opened: Opened | OpenedV1 | None) -> None:
        """An IKE message without its non-ESP marker; ``opened`` is None for a fragment that completes none."""
        ...

    def protected(self, frame: Frame, packet: bytes, unwrapped: Unwrapped) -> None:
        """A whole IP packet with ESP or AH, and what became of it."""
        ...

    def clear(self, frame: Frame, packet: IpPacket) -> None:
        """A whole packet of anything else."""
        ...

    def fragment(self, frame: Frame, packet: bytes) -> None:
        """An IP fragment; if it completes a packet, that one is told next."""
        ...
