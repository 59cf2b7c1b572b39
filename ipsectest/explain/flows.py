"""ESP and AH as a bystander sees them: who sends on which SPI, numbers that are missing or came twice, failures."""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Any

from ipsectest.decrypt.frames import Frame
from ipsectest.decrypt.sequence import SequenceTrack
from ipsectest.decrypt.unwrap import Unwrapped
from ipsectest.ipsec.drop import DropReason
from ipsectest.wire.datagrams import host_text
from ipsectest.wire.ip import AH, UDP, IpPacket

MOST_FLOWS = 10_000
MOST_FRAMES = 8
"""Frames of each kind that are remembered as evidence."""
_HALF = 1 << 31


@dataclass(slots=True)
class Flow:
    """One direction of one SA, by its addresses and SPI."""

    spi: bytes
    source: str
    destination: str
    protocol: str
    in_udp: bool = False
    packets: int = 0
    opened: int = 0
    """Of which keys opened so many."""
    first_frame: int = 0
    first: int = 0
    """Nanoseconds."""
    last: int = 0
    sequence: SequenceTrack = field(default_factory=SequenceTrack)
    failures: Counter[DropReason] = field(default_factory=Counter)
    replayed: list[int] = field(default_factory=list)
    """Frames."""
    failed: list[int] = field(default_factory=list)
    """Frames."""

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "protocol": self.protocol,
            "spi": self.spi.hex(),
            "source": self.source,
            "destination": self.destination,
            "in_udp": self.in_udp,
            "packets": self.packets,
            "lost": self.sequence.lost,
            "replayed": self.sequence.replayed,
            "first_frame": self.first_frame,
        }

    @property
    def ends(self) -> frozenset[str]:
        """Both addresses."""
        return frozenset((self.source, self.destination))

    def take(self, frame: Frame, sequence: int, unwrapped: Unwrapped) -> None:
        """One packet, with the 32 bits of its sequence number."""
        if not self.packets:
            self.first_frame, self.first = frame.number, frame.nanoseconds
        if unwrapped.failure and not unwrapped.layers and unwrapped.failure.reason is not DropReason.UNKNOWN_SPI:
            self.packets += 1
            self.last = frame.nanoseconds
            self.failures[unwrapped.failure.reason] += 1
            _remember(self.failed, frame.number)
            return
        self.opened += bool(unwrapped.layers)
        self.enter(frame.number, frame.nanoseconds, sequence)

    def enter(self, number: int, nanoseconds: int, sequence: int) -> None:
        """A packet that opened, or that nothing can open."""
        self.packets += 1
        self.last = nanoseconds
        if not self.sequence.take(self._whole(sequence)):
            _remember(self.replayed, number)

    def _whole(self, sequence: int) -> int:
        """With the upper half that is nearest to the highest number, as for ESN (RFC 4303 appendix A)."""
        if not self.sequence.unique or self.sequence.highest < sequence < _HALF:
            return sequence
        high = self.sequence.highest & ~0xFFFFFFFF
        nearest = min((high + turn + sequence for turn in (-(1 << 32), 0, 1 << 32)), key=self._distance)
        return nearest if nearest >= 0 else high + sequence

    def _distance(self, number: int) -> int:
        return abs(number - self.sequence.highest)


class Flows:
    """All of a capture; the oldest are given up beyond a bound."""

    def __init__(self) -> None:
        self.found: OrderedDict[tuple[str, bytes, str, str], Flow] = OrderedDict()
        self.left_out = 0

    def take(self, frame: Frame, packet: IpPacket, unwrapped: Unwrapped) -> None:
        """A packet of ESP or AH."""
        at = 8 if packet.protocol == UDP else 4 if packet.protocol == AH else 0
        head = packet.payload[at : at + 8]
        if len(head) < 8:
            return
        spi, name = head[:4], "AH" if packet.protocol == AH else "ESP"
        place = name, spi, host_text(packet.source), host_text(packet.destination)
        flow = self.found.get(place)
        if flow is None:
            flow = self.found[place] = Flow(spi, *place[2:], name, packet.protocol == UDP)
            if len(self.found) > MOST_FLOWS:
                self.found.popitem(last=False)
                self.left_out += 1
        flow.take(frame, int.from_bytes(head[4:], "big"), unwrapped)

    def to(self, spi: bytes) -> list[Flow]:
        """Those on an SPI, which the receiver chose."""
        return [flow for flow in self.found.values() if flow.spi == spi]


def _remember(frames: list[int], number: int) -> None:
    if len(frames) < MOST_FRAMES:
        frames.append(number)
