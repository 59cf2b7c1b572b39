"""One direction of a TCP connection put in order: overlaps, retransmissions, gaps; memory is bounded."""

from ipsectest.wire.tcp import distance

MOST_AHEAD = 1 << 18
"""Octets kept behind a gap before it is given up."""
_MOST_SEGMENTS = 1024
_PATIENCE = 32
"""Segments of the connection that a gap outlives after the other end acknowledged it: the capture lacks it for good."""
_ROUND = 1 << 32


class ByteStream:
    """Takes segments in the order of the capture. Of octets that come twice the first ones count."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        """Of the next octet."""
        self.lost = 0
        """Octets in gaps that were given up."""
        self._ahead: dict[int, bytes] = {}
        self._held = 0
        self._waited = 0

    @property
    def held(self) -> int:
        """Octets that wait behind a gap."""
        return self._held

    def take(self, sequence: int, data: bytes) -> bytes:
        """Enter a segment; the octets that are next in order now."""
        before = distance(sequence, self.sequence)
        if before < 0:
            self._keep(sequence, data)
            return b""
        parts = [data[before:]] if before < len(data) else []
        self._advance(sum(map(len, parts)))
        parts += self._follow()
        return b"".join(parts)

    def skip(self) -> bytes:
        """Give the gap up; the octets behind it."""
        if not self._ahead:
            return b""
        start = min(self._ahead, key=lambda one: distance(self.sequence, one))
        self.lost += max(0, distance(self.sequence, start))
        self.sequence = start
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

    def _keep(self, sequence: int, data: bytes) -> None:
        known = self._ahead.get(sequence, b"")
        if len(data) > len(known):
            self._ahead[sequence] = data
            self._held += len(data) - len(known)

    def _follow(self) -> list[bytes]:
        """What was ahead and is next now."""
        parts = []
        while self._ahead:
            start = min(self._ahead, key=lambda one: distance(self.sequence, one))
            before = distance(start, self.sequence)
            if before < 0:
                break
            data = self._ahead.pop(start)
            self._held -= len(data)
            if before < len(data):
                parts.append(data[before:])
                self._advance(len(data) - before)
        if parts:
            self._waited = 0
        return parts

    def _advance(self, octets: int) -> None:
        self.sequence = (self.sequence + octets) % _ROUND
