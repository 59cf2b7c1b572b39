"""Doors between engines and labs: a Datagram becomes a packet of these layers, and back."""

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6, _IPv6ExtHdr
from scapy.layers.ipsec import AH, ESP, NAT_KEEPALIVE, NON_ESP
from scapy.packet import NoPayload, Packet

from ipsectest import wire
from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.iana import IKE_PORT, NAT_T_PORT, NON_ESP_MARKER
from ipsectest.base.iana import NAT_KEEPALIVE as KEEPALIVE
from ipsectest.layers.ikev2 import from_message
from ipsectest.layers.layer import link, raw_layer

_UDP = 17
_TRANSPORTS: dict[int, type[Packet]] = {1: ICMP, 50: ESP, 51: AH}
_ESP_HEADER_LENGTH = 8
_IKE_MAJOR = 2


def ip_packet(datagram: Datagram) -> Packet:
    """``IP/UDP/IKEv2``, ``IP/UDP/NON_ESP/IKEv2``, ``IP/UDP/ESP``, ``IP/ESP`` ... of a datagram, IPv6 alike.

    Octets that are no message of their port become a Raw layer, so that nothing is lost.
    """
    source, destination = datagram.source, datagram.destination
    if source.is_ipv6:
        packet = IPv6(src=source.host, dst=destination.host, nh=datagram.protocol)
    else:
        packet = IP(src=source.host, dst=destination.host, proto=datagram.protocol)
    if datagram.protocol == _UDP:
        inner: Packet = UDP(sport=source.port, dport=destination.port)
        if datagram.data:
            link(inner, udp_payload(datagram.data, source.port, destination.port))
    else:
        inner = _upper_layer(datagram.protocol, datagram.data)
    link(packet, inner)
    # One value in each field: Scapy need not expand the packet into a set, which copies all of it, to build it.
    packet.explicit = inner.explicit = 1
    return packet


def udp_payload(data: bytes, source_port: int, destination_port: int) -> Packet:
    """The layers of a UDP payload: IKEv2 on port 500; marker, keepalive or ESP on port 4500; else Raw."""
    ports = source_port, destination_port
    if NAT_T_PORT in ports:
        return _encapsulated(data)
    return _ike(data) if IKE_PORT in ports else raw_layer(data)


def _encapsulated(data: bytes) -> Packet:
    """RFC 3948 section 2: four zero octets announce IKE, one octet 0xFF is a keepalive, the rest is ESP."""
    if data == KEEPALIVE:
        return NAT_KEEPALIVE()
    if data.startswith(NON_ESP_MARKER):
        marker = NON_ESP()
        if len(data) > len(NON_ESP_MARKER):
            link(marker, _ike(data[len(NON_ESP_MARKER) :]))
        return marker
    return _upper_layer(50, data)


def _ike(data: bytes) -> Packet:
    """IKEv2; any other major version stays raw, because its payloads are not IKEv2's."""
    if len(data) < wire.HEADER_LENGTH or data[17] >> 4 < _IKE_MAJOR:
        return raw_layer(data)
    return from_message(wire.parse_message(data))


def _upper_layer(protocol: int, data: bytes) -> Packet:
    """ESP, AH or ICMP; Raw where the octets do not fit the layer or the protocol is another one."""
    layer = _TRANSPORTS.get(protocol)
    if layer is None or len(data) < _ESP_HEADER_LENGTH:
        return raw_layer(data)
    try:
        packet: Packet = layer(data)
        fits = packet.do_build() == data
    except Exception:  # noqa: BLE001 - Scapy's own layers raise what they like on hostile octets
        return raw_layer(data)
    return packet if fits else raw_layer(data)


def datagram_of(packet: Packet) -> Datagram | None:
    """The datagram of an IP or IPv6 packet, below an Ethernet header or not.

    None for what is no IP packet and for fragments other than the first, whose ports are unknown.
    """
    header = packet
    while not isinstance(header, IP | IPv6):
        if isinstance(header, NoPayload):
            return None
        header = header.payload
    if isinstance(header, IPv6):
        protocol, upper = _behind_extension_headers(header)
    else:
        if header.frag:
            return None
        protocol, upper = header.proto, header.payload
    if isinstance(upper, NoPayload):
        return None
    if isinstance(upper, UDP):
        source, destination = Address(header.src, upper.sport), Address(header.dst, upper.dport)
        return Datagram(upper.payload.do_build(), source, destination)
    return Datagram(upper.do_build(), Address(header.src), Address(header.dst), protocol)


def _behind_extension_headers(header: Packet) -> tuple[int, Packet]:
    layer: Packet = header
    while isinstance(layer.payload, _IPv6ExtHdr):
        layer = layer.payload
    return layer.nh, layer.payload
