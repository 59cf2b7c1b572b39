"""TCP segments, as far as streams need them (RFC 9293 section 3.1)."""

import struct
from dataclasses import dataclass

FIN, SYN, RST, ACK = 1, 2, 4, 16
_HEADER = struct.Struct("!HHIIBBHHH")
_ROUND = 1 << 32


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment without its options."""

    source_port: int
    destination_port: int
    sequence: int
    acknowledgment: int
    flags: int
    data: bytes


def parse_segment(octets: bytes) -> Segment | None:
    """The segment in the payload of an IP packet; None where the header does not fit."""
    if len(octets) < _HEADER.size:
        return None
    source, destination, sequence, acknowledgment, offset, flags, *_ = _HEADER.unpack_from(octets)
    size = (offset >> 4) * 4
    if not _HEADER.size <= size <= len(octets):
        return None
    return Segment(source, destination, sequence, acknowledgment, flags, octets[size:])


def distance(earlier: int, later: int) -> int:
    """Octets from one sequence number to another, negative if it lies before; numbers are modulo 2^32 (section 3.4)."""
    gap = (later - earlier) % _ROUND
    return gap - _ROUND if gap >= _ROUND // 2 else gap
