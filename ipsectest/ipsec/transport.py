"""Transport mode: ESP or AH between the IP header and the upper layer (RFC 4303 and 4302 section 3.1.1)."""

from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.wire.ip import ICMPV6, TCP, UDP, IpPacket, checksum, parse_ip

_CHECKSUM_AT = {TCP: 16, UDP: 6, ICMPV6: 2}


def split(packet: bytes) -> IpPacket:
    """A whole packet at the place where ESP or AH goes. Raises ValueError for fragments and for what is no IP packet.

    IPv6 Hop-by-Hop, Routing, Fragment and Destination Options stay outside.
    """
    ip = parse_ip(packet)
    if ip is None or ip.is_fragment:
        raise ValueError("transport mode takes whole IP packets (RFC 4303 section 3.3.4)")
    return ip


def replace_payload(ip: IpPacket, protocol: int, payload: bytes) -> bytes:
    """The headers of ip with another protocol and payload; lengths and the IPv4 header checksum follow.

    Raises ValueError if the packet would be too long for its length field.
    """
    headers = bytearray(ip.headers)
    if len(headers) + len(payload) > 65535 + (40 if ip.version == 6 else 0):
        raise ValueError("longer than an IP packet can be")
    headers[ip.protocol_at] = protocol
    if ip.version == 6:
        headers[4:6] = (len(headers) - 40 + len(payload)).to_bytes(2, "big")
    else:
        headers[2:4] = (len(headers) + len(payload)).to_bytes(2, "big")
        headers[10:12] = b"\0\0"
        headers[10:12] = checksum(bytes(headers)).to_bytes(2, "big")
    return bytes(headers) + payload


def repair_checksum(sa: SecurityAssociation, protocol: int, payload: bytes, ip: IpPacket) -> bytes:
    """A checksum changed from the real addresses to those that the NATs have left (RFC 3948 section 3.1.2).

    Of TCP and UDP, and of ICMPv6, which covers the addresses too and may be mended likewise. By the difference alone
    (RFC 1624 section 3), so that what was wrong before remains wrong.
    """
    at = _CHECKSUM_AT.get(protocol)
    if at is None or sa.real_addresses is None or len(payload) < at + 2:
        return payload
    if protocol == UDP and payload[6:8] == b"\0\0":  # sent without one
        return payload
    total = checksum(b"".join(map(_inverted, (payload[at : at + 2], *sa.real_addresses))) + ip.source + ip.destination)
    if protocol == UDP:
        total = total or 0xFFFF
    return payload[:at] + total.to_bytes(2, "big") + payload[at + 2 :]


def _inverted(octets: bytes) -> bytes:
    return bytes(octet ^ 0xFF for octet in octets)
