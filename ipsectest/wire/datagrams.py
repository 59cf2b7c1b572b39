"""IP packets <-> datagrams: what of a packet the engines look at, and the packet that carries it."""

from functools import lru_cache
from ipaddress import ip_address

from ipsectest.base.addresses import Address, Datagram
from ipsectest.wire.ip import AH, ESP, UDP, IpPacket, build_ip, build_udp, parse_udp


def datagram_of(packet: bytes, ip: IpPacket, *, clear: bool = False) -> Datagram | None:
    """The datagram of a whole packet; AH keeps the packet, because its ICV covers the IP header.

    None for what is neither UDP, ESP nor AH, unless packets in clear are wanted too.
    """
    source, destination = host_text(ip.source), host_text(ip.destination)
    if ip.protocol == UDP:
        udp = parse_udp(ip.payload)
        if udp is None:
            return None
        source_port, destination_port, data = udp
        return Datagram(data, Address(source, source_port), Address(destination, destination_port), UDP)
    if ip.protocol == ESP:
        return Datagram(ip.payload, Address(source), Address(destination), ESP)
    if ip.protocol == AH:
        return Datagram(packet, Address(source), Address(destination), AH)
    return Datagram(packet, Address(source), Address(destination), ip.protocol) if clear else None


def packet_of(datagram: Datagram, identification: int = 0) -> bytes:
    """The IP packet for a datagram. Raises ValueError for addresses of different IP versions."""
    if datagram.packet or datagram.protocol not in {UDP, ESP}:
        return datagram.packet or datagram.data
    source, destination = host_octets(datagram.source.host), host_octets(datagram.destination.host)
    payload = datagram.data
    if datagram.protocol == UDP:
        payload = build_udp(source, destination, datagram.source.port, datagram.destination.port, payload)
    fields = {"identification": identification} if len(source) == 4 else {}
    return build_ip(source, destination, datagram.protocol, payload, **fields)


@lru_cache(maxsize=4096)
def host_text(octets: bytes) -> str:
    """The text of a packed address."""
    return str(ip_address(octets))


@lru_cache(maxsize=4096)
def host_octets(host: str) -> bytes:
    """The packed form of an address. Raises ValueError for a text that is none."""
    return ip_address(host).packed
