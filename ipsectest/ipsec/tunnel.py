"""Tunnel mode: outer headers, and what the inner packet learns from them (RFC 4301 section 5.1.2, RFC 6040)."""

from functools import lru_cache
from ipaddress import ip_address

from ipsectest.base.clock import RandomBytes
from ipsectest.ipsec.drop import DropReason
from ipsectest.ipsec.sa import DontFragment, SecurityAssociation
from ipsectest.wire.ip import DONT_FRAGMENT, IPV4_IN_IP, IPV6_IN_IP, IpPacket, build_ipv4, build_ipv6, checksum

_NOT_ECT, _CE = 0, 3


@lru_cache(maxsize=1024)
def packed(host: str) -> bytes:
    """The 4 or 16 octets of an address. Raises ValueError for a text that is none."""
    return ip_address(host).packed


def next_header_of(packet: bytes) -> int:
    """What ESP's Next Header says of a tunnelled packet: 4 or 41. Raises ValueError for other octets."""
    version = packet[0] >> 4 if packet else 0
    if version not in {4, 6}:
        raise ValueError("only IPv4 and IPv6 packets are tunnelled")
    return IPV4_IN_IP if version == 4 else IPV6_IN_IP


def tfc_padding(sa: SecurityAssociation, length: int) -> bytes:
    """Octets that bring a tunnelled packet up to the SA's constant size (RFC 4303 section 2.7)."""
    return bytes(max(0, sa.pads_to - length))


def outer_packet(
    sa: SecurityAssociation, protocol: int, payload: bytes, inner: IpPacket | None, random: RandomBytes
) -> bytes:
    """Put ``payload`` behind a new IP header: DSCP and ECN of the inner packet, DF as the SA says, no options."""
    source, destination = packed(sa.source), packed(sa.destination)
    traffic_class = inner.traffic_class if inner else 0
    if len(source) == 16:
        return build_ipv6(source, destination, protocol, payload, hop_limit=sa.hop_limit, traffic_class=traffic_class)
    copied = sa.dont_fragment is DontFragment.COPY and inner is not None and inner.dont_fragment
    return build_ipv4(
        source,
        destination,
        protocol,
        payload,
        hop_limit=sa.hop_limit,
        traffic_class=traffic_class,
        identification=int.from_bytes(random(2), "big"),
        flags_and_offset=DONT_FRAGMENT if copied or sa.dont_fragment is DontFragment.SET else 0,
    )


def without_tfc_padding(payload: bytes, inner: IpPacket) -> bytes:
    """The inner packet alone: what lies beyond its own length is padding (RFC 4303 section 2.7)."""
    return payload[: len(inner.headers) + len(inner.payload)]


def propagate_ecn(packet: bytes, inner: IpPacket, outer_ecn: int) -> bytes | DropReason:
    """Carry a congestion mark of the outer header inside (RFC 6040 section 4.2, the rows with outer CE)."""
    if outer_ecn != _CE or inner.traffic_class & 3 == _CE:
        return packet
    if inner.traffic_class & 3 == _NOT_ECT:
        return DropReason.ECN_CE
    if inner.version == 6:
        return packet[:1] + bytes((packet[1] | _CE << 4,)) + packet[2:]
    size = len(inner.headers)
    header = packet[:1] + bytes((packet[1] | _CE,)) + packet[2:10] + b"\0\0" + packet[12:size]
    return b"".join((header[:10], checksum(header).to_bytes(2, "big"), header[12:], packet[size:]))
