"""The packets a tester sends through a tunnel, and how to recognise the answers: ICMP echo and UDP."""

import struct
from dataclasses import dataclass
from ipaddress import ip_address

from ipsectest.wire.ip import ICMP, ICMPV6, UDP, build_ip, build_udp, checksum, parse_ip, parse_udp, pseudo_header

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
