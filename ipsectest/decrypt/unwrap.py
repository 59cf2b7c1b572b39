"""From an IP packet of a capture to what it carried, through as many SAs as lie around it."""

from dataclasses import dataclass, field, replace

from ipsectest.base.iana import ProtocolId
from ipsectest.decrypt.ipcomp import IPCOMP, unpack
from ipsectest.decrypt.nat_t import NatT
from ipsectest.decrypt.sas import CapturedSa, SaDatabase
from ipsectest.decrypt.trial import Flow, Trial
from ipsectest.ipsec.drop import Drop, DropReason
from ipsectest.ipsec.esp import Opened
from ipsectest.ipsec.packets import Encapsulated, classify_udp
from ipsectest.ipsec.transport import replace_payload
from ipsectest.ipsec.tunnel import without_tfc_padding
from ipsectest.wire.datagrams import host_text
from ipsectest.wire.ip import AH, ESP, IPV4_IN_IP, IPV6_IN_IP, UDP, IpPacket, parse_ip, parse_udp

MOST_NESTED = 8
"""SAs around one packet; real nesting ends at three."""
_SHORTEST_ESP = 8


@dataclass(frozen=True, slots=True)
class Layer:
    """One SA that a packet was taken out of."""

    sa: CapturedSa
    sequence: int
    is_new: bool
    """False for a replay."""


@dataclass(slots=True)
class Unwrapped:
    """What became of a packet that was protected by ESP or AH."""

    packet: bytes = b""
    """The innermost IP packet that could be reached; empty if not even the outermost SA opened."""
    layers: list[Layer] = field(default_factory=list)
    """Outermost SA first."""
    failure: Drop | None = None
    """Why it went no further although there is more ESP or AH: no keys, a wrong ICV, a dummy packet ..."""
    tfc_padding: int = 0
    """Octets behind the innermost packet (RFC 4303 section 2.7)."""
    compression: str = ""
    """How the payload of the innermost SA with IPComp was compressed (RFC 3173), and if it could be unpacked."""


@dataclass(slots=True)
class _Work:
    """One packet on its way."""

    database: SaDatabase
    trial: Trial | None
    at: int
    result: Unwrapped = field(default_factory=Unwrapped)


_PORT_4500 = NatT()


def unwrap(
    packet: bytes, database: SaDatabase, at: int, *, nat_t: NatT | None = None, trial: Trial | None = None
) -> Unwrapped | None:
    """Open everything that opens; None for a packet without ESP and AH. ``at`` is its time in nanoseconds.

    ``trial`` finds keys where none have the SPI. Never raises. Fragments are to be put together before.
    """
    ip = parse_ip(packet)
    kind = _kind(ip, database, nat_t or NatT()) if ip else None
    if ip is None or kind is None:
        return None
    work = _Work(database, trial, at)
    for _ in range(MOST_NESTED):
        opened = _open(ip, kind, work)
        if opened is None:
            break
        inner = _inner(ip, opened, work.result)
        if inner is None:
            break
        work.result.packet = inner
        following = parse_ip(inner)
        kind = _kind(following, None, _PORT_4500) if following else None
        if following is None or kind is None:
            break
        ip = following
    return work.result


def _kind(ip: IpPacket, database: SaDatabase | None, nat_t: NatT) -> tuple[int, bytes] | None:
    """The protocol (ESP or AH) of a packet and the octets from its SPI on; None where there is neither.

    On ports that nothing tells of, a known SPI tells ESP from any other UDP: in the outermost packet, which has a
    ``database``. Inside a tunnel that would be chance, and the fast path does not look for it.
    """
    if ip.is_fragment:
        return None
    if ip.protocol == ESP:
        return ProtocolId.ESP, ip.payload
    if ip.protocol == AH:
        return ProtocolId.AH, ip.payload[4:]
    udp = parse_udp(ip.payload) if ip.protocol == UDP else None
    if udp is None or classify_udp(udp[2]) is not Encapsulated.ESP or len(udp[2]) < _SHORTEST_ESP:
        return None
    known = database and database.knows(ProtocolId.ESP, udp[2][:4])
    return (ProtocolId.ESP, udp[2]) if known or nat_t.encapsulates(ip, udp[:2]) else None


def _open(ip: IpPacket, kind: tuple[int, bytes], work: _Work) -> Opened | None:
    protocol, data = kind
    spi, ends = data[:4], (host_text(ip.source), host_text(ip.destination))
    candidates = work.database.find(protocol, spi, *ends)
    for sa in candidates:
        if opened := _opened(sa, ip, data, work):
            return opened
    if work.trial and not any(sa.traffic.packets for sa in candidates):
        found = work.trial.take(Flow(protocol, spi, *ends), ip, data)
        if found:
            return _opened(found, ip, data, work)
    if not candidates:
        work.database.miss(protocol, spi, *ends)
        work.result.failure = Drop(DropReason.UNKNOWN_SPI, spi)
    return None


def _opened(sa: CapturedSa, ip: IpPacket, data: bytes, work: _Work) -> Opened | None:
    opened = sa.open_ah(ip, work.at) if sa.keys.protocol == ProtocolId.AH else sa.open_esp(data, work.at)
    if isinstance(opened, Drop):
        work.result.failure = opened
        return None
    work.result.failure = None
    sa.ends = sa.ends or (host_text(ip.source), host_text(ip.destination))
    work.result.layers.append(Layer(sa, opened.sequence, sa.was_new))
    return opened


def _inner(ip: IpPacket, opened: Opened, result: Unwrapped) -> bytes | None:
    """The IP packet in opened ESP or AH: the tunnelled one, or for transport mode the outer headers around it."""
    if opened.next_header == IPCOMP:
        unpacked = unpack(opened.payload)
        result.compression = unpacked.name
        opened = replace(opened, next_header=unpacked.next_header, payload=unpacked.payload)
    if opened.next_header in {IPV4_IN_IP, IPV6_IN_IP}:
        inner = parse_ip(opened.payload)
        if inner is None or inner.version != (4 if opened.next_header == IPV4_IN_IP else 6):
            result.failure = Drop(DropReason.BAD_INNER, sequence=opened.sequence)
            return None
        packet = without_tfc_padding(opened.payload, inner)
        result.tfc_padding = len(opened.payload) - len(packet)
        return packet
    try:
        return replace_payload(ip, opened.next_header, opened.payload)
    except ValueError:  # unpacked, it is longer than the headers leave room for
        result.failure = Drop(DropReason.BAD_INNER, sequence=opened.sequence)
        return None
