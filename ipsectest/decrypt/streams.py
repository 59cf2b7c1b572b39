"""IKE and ESP over TCP (RFC 9329): which connections have them, and their messages as if they had come in UDP.

A connection is known by the prefix of its initiator's stream on any port; on the ports of NAT traversal also by what
its octets look like, for captures that begin later.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ipsectest.base.iana import NAT_T_PORT
from ipsectest.decrypt.bounded import Bounded
from ipsectest.decrypt.byte_stream import ByteStream
from ipsectest.decrypt.tcp_framing import PREFIX, Framing, Known
from ipsectest.ipsec.transport import replace_payload
from ipsectest.wire.ip import TCP, UDP, IpPacket, build_udp
from ipsectest.wire.tcp import ACK, SYN, Segment, parse_segment

MOST_STREAMS = 4096
MOST_OCTETS = 1 << 24
"""Held of all streams together; the one that was idle longest is given up."""
MOST_CONNECTIONS = 10_000
"""That are told apart where a file is read in parts."""
_OVERHEAD = 512
_ROUND = 1 << 32
Place = TypeVar("Place")
_Key = tuple[bytes, int, bytes, int]
End = tuple[bytes, int]
"""Address and port."""


@dataclass(slots=True)
class _Stream(Generic[Place]):
    """One direction."""

    octets: ByteStream
    framing: Framing
    start: int
    """Sequence number of the first octet."""
    ip: IpPacket
    """Of its last segment."""
    place: Place
    is_ours: bool = False
    """Whether it was seen to carry IKE or ESP."""

    @property
    def held(self) -> int:
        """Octets in memory."""
        return self.octets.held + self.framing.held + _OVERHEAD


@dataclass(slots=True)
class Taken:
    """What a segment gave."""

    packets: list[bytes] = field(default_factory=list)
    """IP packets with a message each, in UDP."""
    too_long: int = 0
    """Messages that no datagram can hold."""


class Streams(Generic[Place]):
    """Of one run. ``known`` tells SPIs of ESP, ``ports`` are those of NAT traversal.

    ``Place`` is whatever the caller wants to have back when octets come out that waited.
    """

    def __init__(self, known: Known, ports: frozenset[int]) -> None:
        self.lost = 0
        """Octets that the capture lacks of streams that have ended."""
        self.waited = False
        """Whether messages came out in the end only, behind gaps that nothing filled."""
        self.followed: set[frozenset[End]] = set()
        """Connections that may have IKE and ESP; bounded."""
        self.passed: set[frozenset[End]] = set()
        """Others; bounded."""
        self._known = known
        self._ports = ports
        self._streams: Bounded[_Key, _Stream[Place]] = Bounded(MOST_STREAMS, MOST_OCTETS)

    def __len__(self) -> int:
        return len(self._streams)

    def take(self, ip: IpPacket, place: Place) -> Taken | None:
        """A packet with TCP; None if it is of no connection with IKE or ESP as far as is known."""
        segment = parse_segment(ip.payload) if ip.protocol == TCP and not ip.is_fragment else None
        if segment is None:
            return None
        key = (ip.source, segment.source_port, ip.destination, segment.destination_port)
        back = (*key[2:], *key[:2])
        connection = frozenset({key[:2], key[2:]})
        stream = self._streams.get(key)
        if stream is None or (segment.flags & SYN and _after_syn(segment) != stream.start):
            stream = self._begin(segment, ip, place, is_known=self._is_ours(back))
            if stream is None:
                _enter(self.passed, connection)
                return None
            _enter(self.followed, connection)
            self._streams.put(key, stream, stream.held)
        stream.ip, stream.place = ip, place
        taken: Taken = Taken()
        if segment.flags & ACK:
            self._acknowledged(back, segment.acknowledgment, taken)
        if segment.data and not segment.flags & SYN:
            self._deliver(stream, stream.octets.take(segment.sequence, segment.data), taken)
            if stream.octets.is_stuck:
                self._skip(stream, taken)
        self._streams.put(key, stream, stream.held)
        return taken if stream.is_ours or taken.packets or self._is_ours(back) else None

    def finish(self) -> list[tuple[Place, Taken]]:
        """What waits behind gaps that nothing will fill now."""
        late = []
        for stream in self._streams.values():
            taken: Taken = Taken()
            while stream.octets.held:
                self._skip(stream, taken)
            if stream.is_ours:
                self.lost += stream.octets.lost
                late.append((stream.place, taken))
                self.waited = self.waited or bool(taken.packets)
        self._streams.clear()
        return late

    def _is_ours(self, key: _Key) -> bool:
        stream = self._streams.get(key)
        return stream is not None and stream.is_ours

    def _begin(self, segment: Segment, ip: IpPacket, place: Place, *, is_known: bool) -> _Stream[Place] | None:
        """The state of a direction that may be one of ours, from its first segment on."""
        ports = {segment.source_port, segment.destination_port}
        has_prefix = segment.data.startswith(PREFIX)
        if not (has_prefix or is_known or not self._ports.isdisjoint(ports)):
            return None
        is_start = bool(segment.flags & SYN)
        sequence = _after_syn(segment) if is_start else segment.sequence
        framing = Framing(self._known, from_start=is_start or has_prefix)
        return _Stream(ByteStream(sequence), framing, sequence, ip, place)

    def _deliver(self, stream: _Stream[Place], octets: bytes, taken: Taken) -> None:
        for message in stream.framing.take(octets) if octets else ():
            packet = _in_udp(stream.ip, message)
            if packet:
                taken.packets.append(packet)
            else:
                taken.too_long += 1
        stream.is_ours = stream.is_ours or stream.framing.is_in_step

    def _skip(self, stream: _Stream[Place], taken: Taken) -> None:
        stream.framing.interrupted()
        self._deliver(stream, stream.octets.skip(), taken)

    def _acknowledged(self, key: _Key, number: int, taken: Taken) -> None:
        """The receiver has octets that a gap of the capture lacks: they will not come again."""
        stream = self._streams.get(key)
        if stream is None:
            return
        stream.octets.acknowledged(number)
        if stream.octets.is_stuck:
            self._skip(stream, taken)
            self._streams.put(key, stream, stream.held)


def _enter(connections: set[frozenset[End]], one: frozenset[End]) -> None:
    if len(connections) < MOST_CONNECTIONS:
        connections.add(one)


def _after_syn(segment: Segment) -> int:
    """SYN takes a number of its own (RFC 9293 section 3.4)."""
    return (segment.sequence + 1) % _ROUND


def _in_udp(ip: IpPacket, message: bytes) -> bytes | None:
    """The packet that would have brought a message without TCP: both have the same marker (RFC 3948 section 2)."""
    try:
        return replace_payload(ip, UDP, build_udp(ip.source, ip.destination, NAT_T_PORT, NAT_T_PORT, message))
    except ValueError:
        return None
