"""The packets a tester sends through a tunnel, and how to recognise the answers: ICMP echo, UDP, TCP's SYN and RST."""

import struct
from dataclasses import dataclass
from ipaddress import ip_address

from ipsectest.wire.ip import (
    ICMP,
    ICMPV6,
    TCP,
    UDP,
    IpPacket,
    build_ip,
    build_udp,
    checksum,
    parse_ip,
    parse_udp,
    pseudo_header,
)

_REQUEST = {4: 8, 6: 128}
_REPLY = {4: 0, 6: 129}


@dataclass(frozen=True, slots=True)
class Echo:
    """An ICMP echo request or reply (RFC 792, RFC 4443 section 4)."""

    source: str
    destination: str
    identifier: int
    sequence: int
    data: bytes
    is_reply: bool


@dataclass(frozen=True, slots=True)
class UdpPacket:
    """A UDP packet with its addresses as text."""

    source: str
    source_port: int
    destination: str
    destination_port: int
    data: bytes


def build_echo(echo: Echo, **fields: int) -> bytes:
    """The IPv4 or IPv6 packet; ``fields`` go to the IP header (``hop_limit``, ``traffic_class`` ...)."""
    source, destination = ip_address(echo.source).packed, ip_address(echo.destination).packed
    version = 4 if len(source) == 4 else 6
    kind = (_REPLY if echo.is_reply else _REQUEST)[version]
    message = struct.pack("!BBHHH", kind, 0, 0, echo.identifier, echo.sequence) + echo.data
    protocol = ICMP if version == 4 else ICMPV6
    # ICMP's checksum covers the message alone, ICMPv6's the pseudo-header too.
    prefix = b"" if version == 4 else pseudo_header(source, destination, protocol, len(message))
    total = checksum(prefix + message)
    return build_ip(
        source, destination, protocol, b"".join((message[:2], total.to_bytes(2, "big"), message[4:])), **fields
    )


def parse_echo(packet: bytes) -> Echo | None:
    """The echo message of a whole packet with a right checksum, None for all others."""
    ip = parse_ip(packet)
    if ip is None or ip.is_fragment or len(ip.payload) < 8 or ip.protocol != (ICMP if ip.version == 4 else ICMPV6):
        return None
    kind, code, _, identifier, sequence = struct.unpack_from("!BBHHH", ip.payload)
    prefix = b"" if ip.version == 4 else pseudo_header(ip.source, ip.destination, ICMPV6, len(ip.payload))
    if code or kind not in {_REQUEST[ip.version], _REPLY[ip.version]} or checksum(prefix + ip.payload):
        return None
    source, destination = str(ip_address(ip.source)), str(ip_address(ip.destination))
    return Echo(source, destination, identifier, sequence, ip.payload[8:], kind == _REPLY[ip.version])


def reply_to(echo: Echo) -> Echo:
    """The reply a host would send."""
    return Echo(echo.destination, echo.source, echo.identifier, echo.sequence, echo.data, is_reply=True)


def build_udp_packet(udp: UdpPacket, **fields: int) -> bytes:
    """The IPv4 or IPv6 packet with its UDP checksum."""
    source, destination = ip_address(udp.source).packed, ip_address(udp.destination).packed
    segment = build_udp(source, destination, udp.source_port, udp.destination_port, udp.data)
    return build_ip(source, destination, UDP, segment, **fields)


def parse_udp_packet(packet: bytes) -> UdpPacket | None:
    """The UDP packet in a whole IP packet, None for all others; its checksum is not looked at."""
    ip = parse_ip(packet)
    if ip is None or ip.is_fragment or ip.protocol != UDP:
        return None
    parsed = parse_udp(ip.payload)
    if parsed is None:
        return None
    source_port, destination_port, data = parsed
    source, destination = str(ip_address(ip.source)), str(ip_address(ip.destination))
    return UdpPacket(source, source_port, destination, destination_port, data)


@dataclass(frozen=True, slots=True)
class TcpSegment:
    """A TCP segment with its addresses as text; only what a SYN and the reset that answers it need (RFC 9293)."""

    source: str
    source_port: int
    destination: str
    destination_port: int
    sequence: int
    acknowledged: int
    flags: int
    data: bytes = b""


SYN, RST, ACK = 0x02, 0x04, 0x10
_TCP = struct.Struct("!HHIIBBHHH")


def build_tcp_packet(segment: TcpSegment, **fields: int) -> bytes:
    """The IPv4 or IPv6 packet, without TCP options."""
    source, destination = ip_address(segment.source).packed, ip_address(segment.destination).packed
    numbers = segment.sequence & 0xFFFFFFFF, segment.acknowledged & 0xFFFFFFFF
    ports = segment.source_port, segment.destination_port
    header = _TCP.pack(*ports, *numbers, 5 << 4, segment.flags, 0xFFFF, 0, 0)
    body = header + segment.data
    total = checksum(pseudo_header(source, destination, TCP, len(body)) + body)
    return build_ip(source, destination, TCP, body[:16] + total.to_bytes(2, "big") + body[18:], **fields)


def parse_tcp_packet(packet: bytes) -> TcpSegment | None:
    """The TCP segment in a whole IP packet, None for all others; its checksum is not looked at."""
    ip = parse_ip(packet)
    if ip is None or ip.is_fragment or ip.protocol != TCP or len(ip.payload) < _TCP.size:
        return None
    source_port, destination_port, sequence, acknowledged, offset, flags, *_ = _TCP.unpack_from(ip.payload)
    source, destination = str(ip_address(ip.source)), str(ip_address(ip.destination))
    data = ip.payload[(offset >> 4) * 4 :]
    return TcpSegment(source, source_port, destination, destination_port, sequence, acknowledged, flags, data)


def is_intact(ip: IpPacket) -> bool:
    """Whether the checksum of a whole TCP segment or UDP datagram is right, as a host looks at it first; else True."""
    if ip.is_fragment or ip.protocol not in {TCP, UDP}:
        return True
    if ip.protocol == UDP and ip.payload[6:8] == b"\0\0":
        return ip.version == 4
    return not checksum(pseudo_header(ip.source, ip.destination, ip.protocol, len(ip.payload)) + ip.payload)


def reset_for(segment: TcpSegment) -> TcpSegment:
    """The reset with which a host answers a SYN to a closed port (RFC 9293 section 3.10.7.1)."""
    taken = segment.sequence + 1 + len(segment.data)
    here, there = (segment.destination, segment.destination_port), (segment.source, segment.source_port)
    return TcpSegment(*here, *there, 0, taken & 0xFFFFFFFF, RST | ACK)
