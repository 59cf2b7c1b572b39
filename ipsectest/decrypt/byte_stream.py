"""One direction of a TCP connection put in order: overlaps, retransmissions, gaps; memory is bounded."""

from heapq import heappop, heappush

from ipsectest.wire.tcp import distance

MOST_AHEAD = 1 << 18
"""Octets kept behind a gap before it is given up."""
_MOST_SEGMENTS = 1024
_PATIENCE = 32
"""Segments of the connection that a gap outlives after the other end acknowledged it: the capture lacks it for good."""
_OVERHEAD = 128
"""Octets of memory that a segment takes beside its own."""
_ROUND = 1 << 32


class ByteStream:
    """Takes segments in the order of the capture. Of octets that come twice the first ones count."""

    def __init__(self, sequence: int) -> None:
        self.lost = 0
        """Octets in gaps that were given up."""
        self._next = sequence
        """Number of the next octet, counted on beyond 2^32."""
        self._ahead: dict[int, bytes] = {}
        self._order: list[int] = []
        """A heap of the places of what is ahead."""
        self._held = 0
        self._waited = 0

    @property
    def sequence(self) -> int:
        """Of the next octet."""
        return self._next % _ROUND

    @property
    def held(self) -> int:
        """Octets of memory for what waits behind a gap."""
        return self._held + _OVERHEAD * len(self._ahead)

    def take(self, sequence: int, data: bytes) -> bytes:
        """Enter a segment; the octets that are next in order now."""
        start = self._next - distance(sequence, self.sequence)
        if start > self._next:
            self._keep(start, data)
            return b""
        parts = [data[self._next - start :]]
        self._next += len(parts[0])
        parts += self._follow()
        return b"".join(parts)

    def skip(self) -> bytes:
        """Give the gap up; the octets behind it."""
        if not self._order:
            return b""
        start = self._order[0]
        self.lost += start - self._next
        self._next = start
        self._waited = 0
        return b"".join(self._follow())

    @property
    def is_stuck(self) -> bool:
        """Whether more is held than is good."""
        return self._held > MOST_AHEAD or len(self._ahead) > _MOST_SEGMENTS or self._waited > _PATIENCE

    def acknowledged(self, number: int) -> None:
        """The other end has everything before this number."""
        if self._ahead and distance(self.sequence, number) > 0:
            self._waited += 1

    def _keep(self, start: int, data: bytes) -> None:
        known = self._ahead.get(start)
        if known is None:
            heappush(self._order, start)
        elif len(data) <= len(known):
            return
        self._ahead[start] = data
        self._held += len(data) - len(known or b"")

    def _follow(self) -> list[bytes]:
        """What was ahead and is next now."""
        parts = []
        while self._order and self._order[0] <= self._next:
            start = heappop(self._order)
            data = self._ahead.pop(start)
            self._held -= len(data)
            if self._next - start < len(data):
                parts.append(data[self._next - start :])
                self._next = start + len(data)
        if parts:
            self._waited = 0
        return parts
