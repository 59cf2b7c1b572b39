"""IP fragments of a capture put together again, in the capture's own time."""

from ipsectest.net.reassembly import Reassembler

_NANOSECONDS = 1_000_000_000
_MOST_PACKETS = 1024


class Fragments:
    """At most so many incomplete packets are kept, each for 60 seconds of the capture (RFC 8200 section 4.5)."""

    def __init__(self) -> None:
        self._reassembler = Reassembler(max_packets=_MOST_PACKETS, max_fragments=256)

    def take(self, packet: bytes, nanoseconds: int) -> bytes | None:
        """A whole packet: ``packet`` itself or what its fragment completes; None while pieces are missing."""
        return self._reassembler.feed(packet, nanoseconds / _NANOSECONDS)

    def awaits(self, packet: bytes) -> bool:
        """Whether it is a fragment of a packet of which others came."""
        return self._reassembler.awaits(packet)

    def __len__(self) -> int:
        return len(self._reassembler)
