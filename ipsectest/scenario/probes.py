"""The packets inside of data lines: made and recognised.

A ``ping`` is answered by any host, a ``syn`` to a closed port by a ``reset``: so hosts that know nothing of a test
show whether a packet reached them, and for TCP whether a port did.
"""

import struct
from dataclasses import dataclass, field
from ipaddress import ip_address

from ipsectest.ipsec.inner import (
    RST,
    SYN,
    Echo,
    TcpSegment,
    UdpPacket,
    build_echo,
    build_tcp_packet,
    build_udp_packet,
    parse_echo,
    parse_tcp_packet,
    parse_udp_packet,
    reset_for,
)
from ipsectest.wire.ip import ICMP, ICMPV6, IpPacket, build_ip, checksum, parse_ip, pseudo_header

IDENTIFIER = 0x4950
ECHO_KINDS = frozenset({"ping", "pong"})
_FRAGMENTATION_NEEDED, _PACKET_TOO_BIG = (3, 4), (2, 0)


@dataclass(frozen=True, slots=True)
class Probe:
    """A packet of a data line. ``number`` tells two of a kind apart and ties an answer to what it answers."""

    kind: str
    source: str
    destination: str
    source_port: int = 0
    destination_port: int = 0
    number: int = 0
    data: bytes = b""
    identifier: int = IDENTIFIER
    """Of an echo."""
    mtu: int = 0
    """Of a ``too-big``."""
    ip: IpPacket | None = field(default=None, compare=False, repr=False)
    """Its header, once it has been on the way."""

    @property
    def is_error(self) -> bool:
        """Whether it reports an error about another packet."""
        return self.kind in {"too-big", "error"}

    def answers(self, other: "Probe | None") -> bool:
        """Whether it is what a host says to ``other``."""
        if other is None:
            return False
        turned = (self.source, self.source_port) == (other.destination, other.destination_port) and (
            (self.destination, self.destination_port) == (other.source, other.source_port)
        )
        if self.kind == "pong":
            return other.kind == "ping" and turned and (self.number, self.data) == (other.number, other.data)
        return self.kind == "reset" and other.kind == "syn" and turned and self.number == _taken(other)


def build(probe: Probe, **fields: int) -> bytes:
    """The IP packet; ``fields`` are those of its header. Raises ValueError for what nobody can send."""
    ends = probe.source, probe.source_port, probe.destination, probe.destination_port
    match probe.kind:
        case "ping" | "pong":
            is_reply = probe.kind == "pong"
            hosts, numbers = (probe.source, probe.destination), (probe.identifier, probe.number)
            return build_echo(Echo(*hosts, *numbers, probe.data, is_reply=is_reply), **fields)
        case "syn":
            return build_tcp_packet(TcpSegment(*ends, probe.number, 0, SYN, probe.data), **fields)
        case "udp":
            return build_udp_packet(UdpPacket(*ends, probe.data), **fields)
        case "too-big":  # about a datagram that the one it goes to had sent to the one it comes from
            quoted = build_udp_packet(UdpPacket(*ends[2:], *ends[:2], probe.data))
            return too_big(quoted, probe.source, probe.mtu, **fields) or b""
        case _:
            raise ValueError(f"a {probe.kind} is only expected, never sent")


def answer_to(probe: Probe) -> bytes | None:
    """What a host with no open port says, None for what it takes in silence; the traffic class comes back as it was."""
    traffic_class = probe.ip.traffic_class if probe.ip else 0
    if probe.kind == "ping":
        turned = (probe.destination, probe.source)
        echo = Echo(*turned, probe.identifier, probe.number, probe.data, is_reply=True)
        return build_echo(echo, traffic_class=traffic_class)
    if probe.kind == "syn":
        ends = probe.source, probe.source_port, probe.destination, probe.destination_port
        reset = reset_for(TcpSegment(*ends, probe.number, 0, SYN, probe.data))
        return build_tcp_packet(reset, traffic_class=traffic_class)
    return None


def recognise(packet: bytes) -> Probe | None:
    """The probe that an IP packet is; None for others, for fragments and for damaged ones."""
    ip = parse_ip(packet)
    if ip is None or ip.is_fragment:
        return None
    if echo := parse_echo(packet):
        kind = "pong" if echo.is_reply else "ping"
        return Probe(kind, echo.source, echo.destination, 0, 0, echo.sequence, echo.data, echo.identifier, ip=ip)
    if segment := parse_tcp_packet(packet):
        if segment.flags & (SYN | RST) == 0:
            return None
        kind, number = ("reset", segment.acknowledged) if segment.flags & RST else ("syn", segment.sequence)
        ports = segment.source_port, segment.destination_port
        return Probe(kind, segment.source, segment.destination, *ports, number, segment.data, ip=ip)
    if udp := parse_udp_packet(packet):
        return Probe("udp", udp.source, udp.destination, udp.source_port, udp.destination_port, data=udp.data, ip=ip)
    return _error(ip)


def too_big(packet: bytes, reporter: str, mtu: int, **fields: int) -> bytes | None:
    """The ICMP error of a gateway that can neither carry nor cut a packet (RFC 1191 section 4, RFC 4443 3.2)."""
    ip = parse_ip(packet)
    if ip is None:
        return None
    source, destination = ip_address(reporter).packed, ip.source
    kind, code = _FRAGMENTATION_NEEDED if ip.version == 4 else _PACKET_TOO_BIG
    quoted = packet[: len(ip.headers) + 8] if ip.version == 4 else packet[:1200]
    message = struct.pack("!BBHI", kind, code, 0, mtu) + quoted
    protocol = ICMP if ip.version == 4 else ICMPV6
    prefix = b"" if ip.version == 4 else pseudo_header(source, destination, protocol, len(message))
    total = checksum(prefix + message)
    return build_ip(source, destination, protocol, message[:2] + total.to_bytes(2, "big") + message[4:], **fields)


def _error(ip: IpPacket) -> Probe | None:
    """An ICMP error: of a packet too big, with the MTU it names, or any other."""
    if len(ip.payload) < 8 or ip.protocol not in {ICMP, ICMPV6}:
        return None
    kind, code, _, word = struct.unpack_from("!BBHI", ip.payload)
    source, destination = str(ip_address(ip.source)), str(ip_address(ip.destination))
    if (ip.protocol, kind, code) == (ICMP, *_FRAGMENTATION_NEEDED):
        return Probe("too-big", source, destination, mtu=word & 0xFFFF, ip=ip)
    if (ip.protocol, kind, code) == (ICMPV6, *_PACKET_TOO_BIG):
        return Probe("too-big", source, destination, mtu=word, ip=ip)
    is_error = kind in {3, 4, 5, 11, 12} if ip.protocol == ICMP else kind < 128
    return Probe("error", source, destination, ip=ip) if is_error else None


def _taken(syn: Probe) -> int:
    """The acknowledgment number that takes a SYN and its data (RFC 9293 section 3.10.7.1)."""
    return (syn.number + 1 + len(syn.data)) & 0xFFFFFFFF
