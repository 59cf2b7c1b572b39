"""IPv4, IPv6 and UDP headers as octets: what an engine without sockets needs of them.

Parsing never raises: what is no IP packet gives None. Addresses are packed (4 or 16 octets)
here, text lives in ``base.addresses``. Sources: RFC 791, RFC 768, RFC 1071, RFC 8200.
"""

import struct
from dataclasses import dataclass

ICMP, IPV4_IN_IP, TCP, UDP, IPV6_IN_IP = 1, 4, 6, 17, 41
ESP, AH, ICMPV6, NO_NEXT_HEADER = 50, 51, 58, 59
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS = 0, 43, 44, 60

DONT_FRAGMENT = 0x4000
MORE_FRAGMENTS = 0x2000
_OFFSET_MASK = 0x1FFF
_MAX_EXTENSION_HEADERS = 16

_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_UDP = struct.Struct("!HHHH")


@dataclass(frozen=True, slots=True)
class IpPacket:
    """An IP packet taken apart at its upper-layer header; octets after its own length are cut off."""

    version: int
    source: bytes
    """Packed, 4 or 16 octets."""
    destination: bytes
    traffic_class: int
    """DSCP (6 bits) and ECN (2 bits)."""
    hop_limit: int
    headers: bytes
    """IP header with options, or IPv6 header with the extension headers walked over."""
    protocol: int
    """Protocol of the payload: the last Next Header of ``headers``."""
    protocol_at: int
    """Offset in ``headers`` of the octet that holds ``protocol``."""
    payload: bytes
    fragment_offset: int = 0
    """Octets; 0 in a whole packet and in a first fragment."""
    more_fragments: bool = False
    identification: int = 0
    dont_fragment: bool = False

    @property
    def is_fragment(self) -> bool:
        """Whether this is a part of a larger packet."""
        return self.more_fragments or self.fragment_offset > 0


def checksum(data: bytes) -> int:
    """Internet checksum of data (RFC 1071), as the number that belongs into the header field."""
    if len(data) % 2:
        data += b"\0"
    # The one's complement sum of 16-bit words is the whole number modulo 65535; 0 and 65535 are both zero there.
    return 0xFFFF - (int.from_bytes(data, "big") % 0xFFFF or (0xFFFF if any(data) else 0))


def pseudo_header(source: bytes, destination: bytes, protocol: int, length: int) -> bytes:
    """What TCP, UDP and ICMPv6 checksums cover besides their own octets (RFC 768, RFC 8200 section 8.1)."""
    if len(source) == 4:
        return source + destination + struct.pack("!BBH", 0, protocol, length & 0xFFFF)
    return source + destination + struct.pack("!II", length, protocol)


def build_ipv4(
    source: bytes,
    destination: bytes,
    protocol: int,
    payload: bytes,
    *,
    hop_limit: int = 64,
    traffic_class: int = 0,
    identification: int = 0,
    flags_and_offset: int = 0,
) -> bytes:
    """An IPv4 packet without options; ``flags_and_offset`` as on the wire (offset in units of 8 octets).

    Raises ValueError if it would be longer than 65535 octets.
    """
    if len(payload) > 65535 - 20:
        raise ValueError("longer than an IPv4 packet can be")
    fields = (0x45, traffic_class, 20 + len(payload), identification, flags_and_offset, hop_limit, protocol)
    header = _IPV4.pack(*fields, 0, source, destination)
    return b"".join((header[:10], checksum(header).to_bytes(2, "big"), header[12:], payload))


def build_ipv6(
    source: bytes, destination: bytes, protocol: int, payload: bytes, *, hop_limit: int = 64, traffic_class: int = 0
) -> bytes:
    """An IPv6 packet; ``payload`` starts with the header that ``protocol`` names, flow label 0.

    Raises ValueError for more than 65535 octets of payload.
    """
    if len(payload) > 65535:
        raise ValueError("longer than an IPv6 packet can be")
    first_word = 0x60000000 | traffic_class << 20
    return _IPV6.pack(first_word, len(payload), protocol, hop_limit, source, destination) + payload


def build_ip(source: bytes, destination: bytes, protocol: int, payload: bytes, **fields: int) -> bytes:
    """An IPv4 or IPv6 packet, by the length of the packed addresses. Raises ValueError for mixed and for long ones."""
    if len(source) != len(destination):
        raise ValueError("source and destination are of different IP versions")
    return (build_ipv4 if len(source) == 4 else build_ipv6)(source, destination, protocol, payload, **fields)


def build_udp(
    source: bytes,
    destination: bytes,
    source_port: int,
    destination_port: int,
    data: bytes,
    *,
    checksummed: bool = True,
) -> bytes:
    """A UDP header and its data; a computed checksum of 0 is sent as 65535 (RFC 768)."""
    length = 8 + len(data)
    header = _UDP.pack(source_port, destination_port, length & 0xFFFF, 0)
    if not checksummed:
        return header + data
    total = checksum(pseudo_header(source, destination, UDP, length) + header + data) or 0xFFFF
    return b"".join((header[:6], total.to_bytes(2, "big"), data))


def parse_udp(data: bytes) -> tuple[int, int, bytes] | None:
    """(source port, destination port, payload), None where the header or its length does not fit."""
    if len(data) < 8:
        return None
    source_port, destination_port, length, _ = _UDP.unpack_from(data)
    if not 8 <= length <= len(data):
        return None
    return source_port, destination_port, data[8:length]


def parse_ip(packet: bytes) -> IpPacket | None:
    """Take an IP packet apart; None if it is none, is shorter than its length field, or its header is damaged."""
    if not packet:
        return None
    version = packet[0] >> 4
    if version == 4:
        return _parse_ipv4(packet)
    return _parse_ipv6(packet) if version == 6 else None


def _parse_ipv4(packet: bytes) -> IpPacket | None:
    if len(packet) < 20:
        return None
    first, tos, length, identification, fragment, ttl, protocol, _, source, destination = _IPV4.unpack_from(packet)
    header_length = (first & 15) * 4
    if not 20 <= header_length <= length <= len(packet) or checksum(packet[:header_length]):
        return None
    return IpPacket(
        version=4,
        source=source,
        destination=destination,
        traffic_class=tos,
        hop_limit=ttl,
        headers=packet[:header_length],
        protocol=protocol,
        protocol_at=9,
        payload=packet[header_length:length],
        fragment_offset=(fragment & _OFFSET_MASK) * 8,
        more_fragments=bool(fragment & MORE_FRAGMENTS),
        identification=identification,
        dont_fragment=bool(fragment & DONT_FRAGMENT),
    )


def _parse_ipv6(packet: bytes) -> IpPacket | None:
    if len(packet) < 40:
        return None
    first_word, length, protocol, hop_limit, source, destination = _IPV6.unpack_from(packet)
    end = 40 + length
    if end > len(packet):
        return None
    at, protocol_at, offset, more, identification = 40, 6, 0, False, 0
    for _ in range(_MAX_EXTENSION_HEADERS):
        if protocol not in {HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS}:
            break
        if at + 8 > end:
            return None
        size = 8
        if protocol == FRAGMENT:
            word, identification = struct.unpack_from("!HI", packet, at + 2)
            offset, more = word & 0xFFF8, bool(word & 1)
        else:
            size += packet[at + 1] * 8
        protocol, protocol_at, at = packet[at], at, at + size
        if at > end:
            return None
        if offset:  # what follows is no header but the middle of the packet
            break
    return IpPacket(
        version=6,
        source=source,
        destination=destination,
        traffic_class=first_word >> 20 & 0xFF,
        hop_limit=hop_limit,
        headers=packet[:at],
        protocol=protocol,
        protocol_at=protocol_at,
        payload=packet[at:end],
        fragment_offset=offset,
        more_fragments=more,
        identification=identification,
    )


def altered(
    packet: bytes,
    *,
    traffic_class: int | None = None,
    hop_limit: int | None = None,
    dont_fragment: bool | None = None,
    more_fragments: bool | None = None,
) -> bytes:
    """A packet with fields of its header changed as on the way; the checksum of IPv4 follows. IPv6 has no such bits."""
    header = bytearray(packet)
    if packet[0] >> 4 == 6:
        if traffic_class is not None:
            header[0:2] = (6 << 12 | traffic_class << 4 | packet[1] & 15).to_bytes(2, "big")
        if hop_limit is not None:
            header[7] = hop_limit
        return bytes(header)
    if traffic_class is not None:
        header[1] = traffic_class
    if hop_limit is not None:
        header[8] = hop_limit
    if dont_fragment is not None:
        header[6] = header[6] & ~0x40 | (0x40 if dont_fragment else 0)
    if more_fragments is not None:
        header[6] = header[6] & ~0x20 | (0x20 if more_fragments else 0)
    size = (packet[0] & 15) * 4
    header[10:12] = b"\0\0"
    header[10:12] = checksum(bytes(header[:size])).to_bytes(2, "big")
    return bytes(header)
