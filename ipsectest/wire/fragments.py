"""IP fragments as octets: cut a packet, recognise a fragment, join a complete set (RFC 791, RFC 8200 section 4.5)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from ipsectest.wire.ip import DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, MORE_FRAGMENTS, ROUTING, checksum

_MAX_EXTENSION_HEADERS = 16
_MAX_PACKET = 65535
_MOST_FRAGMENTS = 64


@dataclass(frozen=True, slots=True)
class Fragment:
    """One fragment, cut loose from its own headers."""

    key: tuple[bytes, bytes, int, int]
    """(source, destination, protocol, identification): what belongs together (in IPv6 the protocol does not count)."""
    offset: int
    """Octets."""
    more: bool
    prefix: bytes
    """Headers of the packet to be, lengths not yet right; those of the first fragment are the ones to keep."""
    data: bytes


def as_fragment(packet: bytes) -> Fragment | None:
    """The fragment that an IP packet is, None for whole packets and for what is no IP packet."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        return _as_ipv4_fragment(packet)
    return _as_ipv6_fragment(packet) if version == 6 and len(packet) >= 40 else None


def join(fragments: Sequence[Fragment]) -> bytes | None:
    """The packet a set of fragments makes; None while some are missing, and for overlapping or oversized ones.

    Overlaps are never merged: RFC 5722 forbids it for IPv6, and for IPv4 nothing honest sends them.
    """
    ordered = sorted(fragments, key=lambda fragment: fragment.offset)
    if not ordered or ordered[0].offset or ordered[-1].more:
        return None
    end = 0
    for fragment in ordered:
        if fragment.offset != end:
            return None
        end += len(fragment.data)
    prefix = ordered[0].prefix
    if len(prefix) + end > _MAX_PACKET:
        return None
    return _with_length(prefix, b"".join(fragment.data for fragment in ordered))


@dataclass(slots=True)
class Pieces:
    """The newest fragments of packets that are not whole yet, for those who have no clock; `net.reassembly` has."""

    _fragments: list[Fragment] = field(default_factory=list)

    def whole(self, packet: bytes) -> bytes | None:
        """The packet, put together if it came in pieces."""
        fragment = as_fragment(packet)
        if fragment is None:
            return packet
        self._fragments = [*self._fragments[-_MOST_FRAGMENTS:], fragment]
        mine = [one for one in self._fragments if one.key == fragment.key]
        whole = join(mine)
        if whole:
            self._fragments = [one for one in self._fragments if one.key != fragment.key]
        return whole


def cut(packet: bytes, mtu: int, identification: int) -> list[bytes]:
    """The packet in pieces of at most ``mtu`` octets; as it is if it fits or cannot be cut.

    IPv4: DF is not looked at and options go into every piece; IPv6: a Fragment header after the first 40 octets.
    """
    if len(packet) <= mtu:
        return [packet]
    if packet[0] >> 4 == 4:
        header_length = (packet[0] & 15) * 4
        room = (mtu - header_length) & ~7
        head, data = packet[:header_length], packet[header_length:]
    else:
        room = (mtu - 48) & ~7
        head, data = packet[:40], packet[40:]
    if room <= 0:
        return [packet]
    pieces = [(at, data[at : at + room]) for at in range(0, len(data), room)]
    build = _ipv4_piece if packet[0] >> 4 == 4 else _ipv6_piece
    return [build(head, piece, at, at + room < len(data), identification) for at, piece in pieces]


def _as_ipv4_fragment(packet: bytes) -> Fragment | None:
    header_length = (packet[0] & 15) * 4
    length, identification, word = struct.unpack_from("!HHH", packet, 2)
    if not 20 <= header_length <= length <= len(packet) or checksum(packet[:header_length]):
        return None
    offset, more = (word & 0x1FFF) * 8, bool(word & MORE_FRAGMENTS)
    data = packet[header_length:length]
    if not (more or offset) or (more and len(data) % 8):
        return None
    prefix = packet[:6] + b"\0\0" + packet[8:header_length]
    return Fragment((packet[12:16], packet[16:20], packet[9], identification), offset, more, prefix, data)


def _as_ipv6_fragment(packet: bytes) -> Fragment | None:
    end = 40 + int.from_bytes(packet[4:6], "big")
    if end > len(packet):
        return None
    protocol, protocol_at, at = packet[6], 6, 40
    for _ in range(_MAX_EXTENSION_HEADERS):
        if at + 8 > end or protocol not in {HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS, FRAGMENT}:
            return None
        if protocol == FRAGMENT:
            break
        protocol, protocol_at, at = packet[at], at, at + 8 + packet[at + 1] * 8
    else:
        return None
    word, identification = struct.unpack_from("!HI", packet, at + 2)
    offset, more, data = word & 0xFFF8, bool(word & 1), packet[at + 8 : end]
    if not (more or offset) or (more and len(data) % 8):
        return None
    prefix = packet[:protocol_at] + packet[at : at + 1] + packet[protocol_at + 1 : at]
    return Fragment((packet[8:24], packet[24:40], 0, identification), offset, more, prefix, data)


def _with_length(prefix: bytes, data: bytes) -> bytes:
    if prefix[0] >> 4 == 6:
        return prefix[:4] + (len(prefix) - 40 + len(data)).to_bytes(2, "big") + prefix[6:] + data
    head = prefix[:2] + (len(prefix) + len(data)).to_bytes(2, "big") + prefix[4:10] + b"\0\0" + prefix[12:]
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + data


def _ipv4_piece(head: bytes, data: bytes, offset: int, more: bool, identification: int) -> bytes:
    word = offset // 8 | (MORE_FRAGMENTS if more else 0)
    fields = struct.pack("!HHH", 0, identification & 0xFFFF, word)
    return _with_length(head[:2] + fields + head[8:], data)


def _ipv6_piece(head: bytes, data: bytes, offset: int, more: bool, identification: int) -> bytes:
    fragment = struct.pack("!BBHI", head[6], 0, offset | more, identification & 0xFFFFFFFF)
    return _with_length(head[:6] + bytes((FRAGMENT,)) + head[7:] + fragment, data)
