"""Whole IP packets: protect what leaves, unprotect what arrives (RFC 4301 section 5, RFC 3948)."""

from dataclasses import dataclass
from enum import StrEnum

from ipsectest.base.clock import RandomBytes
from ipsectest.base.iana import NAT_KEEPALIVE, NON_ESP_MARKER, ProtocolId
from ipsectest.ipsec.ah import open_ah, protect_ah
from ipsectest.ipsec.drop import Drop, DropReason
from ipsectest.ipsec.esp import NOTHING_FORCED, Forced, Opened, open_esp, seal_esp
from ipsectest.ipsec.sa import Mode, SecurityAssociation
from ipsectest.ipsec.spd import Flow, admits
from ipsectest.ipsec.transport import repair_checksum, replace_payload, split
from ipsectest.ipsec.tunnel import next_header_of, outer_packet, packed, propagate_ecn, tfc_padding, without_tfc_padding
from ipsectest.wire.ip import AH, ESP, IPV4_IN_IP, IPV6_IN_IP, UDP, IpPacket, build_udp, parse_ip, parse_udp


@dataclass(frozen=True, slots=True)
class Unprotected:
    """A packet that passed all checks."""

    inner: bytes
    """The IP packet: the tunnelled one, or the one that transport mode protected."""
    sequence: int
    """64 bits for an SA with ESN."""
    tfc_padding: bytes = b""
    """What stood behind the inner packet of a tunnel."""


class Encapsulated(StrEnum):
    """What the payload of a UDP packet on an encapsulation port is (RFC 3948 section 2)."""

    ESP = "esp"
    IKE = "ike"
    KEEPALIVE = "keepalive"


def classify_udp(payload: bytes) -> Encapsulated:
    """Tell ESP, IKE and keepalives apart; fewer than four octets can be no ESP packet but are handed to it."""
    if payload[:4] == NON_ESP_MARKER:
        return Encapsulated.IKE
    return Encapsulated.KEEPALIVE if payload == NAT_KEEPALIVE else Encapsulated.ESP


def protect(sa: SecurityAssociation, packet: bytes, random: RandomBytes, forced: Forced = NOTHING_FORCED) -> bytes:
    """The IP packet that carries ``packet`` under the SA.

    Tunnel mode puts a new header in front, transport mode keeps the packet's own. Raises
    SequenceExhaustedError, and ValueError for octets that are no (whole) IP packet or make too long a one.
    """
    if sa.protocol == ProtocolId.AH:
        return protect_ah(sa, packet, random, forced)
    if sa.mode is Mode.TUNNEL:
        esp = seal_tunnelled(sa, packet, random, forced)
        protocol, payload = _encapsulated(sa, esp, packed(sa.source), packed(sa.destination))
        return outer_packet(sa, protocol, payload, parse_ip(packet), random)
    ip = split(packet)
    esp = seal_esp(sa, ip.payload, ip.protocol, random, forced)
    return replace_payload(ip, *_encapsulated(sa, esp, ip.source, ip.destination))


def seal_tunnelled(
    sa: SecurityAssociation, packet: bytes, random: RandomBytes, forced: Forced = NOTHING_FORCED
) -> bytes:
    """The ESP packet alone for an inner IP packet, with TFC padding if the SA has a constant size."""
    next_header = next_header_of(packet)
    return seal_esp(sa, packet + tfc_padding(sa, len(packet)), next_header, random, forced)


def unprotect(sa: SecurityAssociation, packet: bytes) -> Unprotected | Drop:
    """What an IP packet carries under the SA, or why it is not passed on. Never raises."""
    ip = parse_ip(packet)
    if ip is None:
        return sa.drop(DropReason.NOT_IP)
    opened = _open_ah(sa, ip) if sa.protocol == ProtocolId.AH else _open_esp(sa, ip)
    if isinstance(opened, Drop):
        return opened
    return unwrap(sa, opened, ip)


def unwrap(sa: SecurityAssociation, opened: Opened, ip: IpPacket) -> Unprotected | Drop:
    """The packet out of what ``ip`` carried: the tunnelled one, or ``ip`` itself without ESP or AH."""
    if sa.mode is Mode.TUNNEL:
        return inner_of(sa, opened, ip.traffic_class & 3)
    payload = repair_checksum(sa, opened.next_header, opened.payload, ip)
    return _admit(sa, replace_payload(ip, opened.next_header, payload), opened)


def _open_ah(sa: SecurityAssociation, ip: IpPacket) -> Opened | Drop:
    return open_ah(sa, ip) if ip.protocol == AH else sa.drop(DropReason.NOT_IPSEC)


def _open_esp(sa: SecurityAssociation, ip: IpPacket) -> Opened | Drop:
    esp = esp_of(ip)
    return sa.drop(esp) if isinstance(esp, DropReason) else open_esp(sa, esp)


def esp_of(ip: IpPacket) -> bytes | DropReason:
    """The ESP octets of a plain or UDP-encapsulated packet, or what it is instead."""
    if ip.is_fragment:
        return DropReason.FRAGMENT
    if ip.protocol == ESP:
        return ip.payload
    udp = parse_udp(ip.payload) if ip.protocol == UDP else None
    if udp is None:
        return DropReason.NOT_IPSEC
    # The UDP checksum is not looked at: the ICV covers more, and a zero one is usual (RFC 3948 section 2.1).
    match classify_udp(udp[2]):
        case Encapsulated.IKE:
            return DropReason.IKE_MESSAGE
        case Encapsulated.KEEPALIVE:
            return DropReason.NAT_KEEPALIVE
        case Encapsulated.ESP:
            return udp[2]


def inner_of(sa: SecurityAssociation, opened: Opened, outer_ecn: int = 0) -> Unprotected | Drop:
    """The packet of a tunnel out of opened ESP: right version, no TFC padding, ECN carried over, selectors kept."""
    if opened.next_header not in {IPV4_IN_IP, IPV6_IN_IP}:
        return sa.drop(DropReason.BAD_NEXT_HEADER, opened.sequence)
    inner = parse_ip(opened.payload)
    if inner is None or inner.version != (4 if opened.next_header == IPV4_IN_IP else 6):
        return sa.drop(DropReason.BAD_INNER, opened.sequence)
    packet = without_tfc_padding(opened.payload, inner)
    marked = propagate_ecn(packet, inner, outer_ecn)
    if isinstance(marked, DropReason):
        return sa.drop(marked, opened.sequence)
    return _admit(sa, marked, opened, opened.payload[len(packet) :])


def _admit(sa: SecurityAssociation, packet: bytes, opened: Opened, tfc: bytes = b"") -> Unprotected | Drop:
    if sa.selectors:
        ip = parse_ip(packet)
        if ip is None:
            return sa.drop(DropReason.BAD_INNER, opened.sequence)
        if not admits(sa.selectors, Flow.of(ip, inbound=True)):
            return sa.drop(DropReason.SELECTOR_MISMATCH, opened.sequence)
    return Unprotected(packet, opened.sequence, tfc)


def _encapsulated(sa: SecurityAssociation, esp: bytes, source: bytes, destination: bytes) -> tuple[int, bytes]:
    """(IP protocol, payload): ESP itself, or UDP around it; the IPv4 checksum stays 0 (RFC 3948 section 2.1)."""
    if sa.udp_ports is None:
        return ESP, esp
    return UDP, build_udp(source, destination, *sa.udp_ports, esp, checksummed=len(source) == 16)
