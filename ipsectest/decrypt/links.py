"""From a captured frame to the IP packet in it, by link type (the LINKTYPE_ registry of tcpdump.org)."""

from collections.abc import Callable

from ipsectest.wire.ip import checksum

_IPV4, _IPV6, _PPPOE_SESSION = 0x0800, 0x86DD, 0x8864
_VLAN = frozenset({0x8100, 0x88A8, 0x9100, 0x9200})
_MPLS = frozenset({0x8847, 0x8848})
_PPP_IPV4, _PPP_IPV6 = 0x0021, 0x0057
_MOST_TAGS = 8
"""VLAN tags or MPLS labels one behind the other."""
_BSD_IPV6 = frozenset({10, 23, 24, 28, 30})
"""AF_INET6 of Linux, Windows, NetBSD and OpenBSD, FreeBSD, Darwin."""

Data = bytes | memoryview


def ip_packet(data: Data, link_type: int) -> bytes | str:
    """The IP packet of a frame, from its first octet to the end of the frame; why there is none, as text.

    A wrong checksum of an IPv4 header is set right: the sender's network card may compute it behind the capture.
    """
    reader = _READERS.get(link_type)
    if reader is None:
        return f"link type {link_type} is not known"
    found = reader(data)
    if isinstance(found, str):
        return found
    packet = bytes(data[found:])
    version = packet[0] >> 4 if packet else 0
    if version == 4:
        return _with_checksum(packet)
    return packet if version == 6 else "no IP packet where one should be"


def _with_checksum(packet: bytes) -> bytes:
    size = (packet[0] & 15) * 4
    if not 20 <= size <= len(packet) or not checksum(packet[:size]):
        return packet
    header = packet[:10] + b"\0\0" + packet[12:size]
    return b"".join((packet[:10], checksum(header).to_bytes(2, "big"), packet[12:]))


def _raw(data: Data) -> int | str:
    del data
    return 0


def _ethernet(data: Data) -> int | str:
    return _by_ethertype(data, 12)


def _cooked(data: Data) -> int | str:
    """Linux cooked capture: the protocol is the last of its 16 octets."""
    return _by_ethertype(data, 14)


def _cooked_2(data: Data) -> int | str:
    """Linux cooked capture, version 2: the protocol comes first, of 20 octets."""
    if len(data) < 20:
        return "cut off within the link header"
    return _of_protocol(data, int.from_bytes(data[:2], "big"), 20)


def _loopback(data: Data) -> int | str:
    """BSD loopback: an address family in the byte order of its host, which a big number gives away."""
    if len(data) < 4:
        return "cut off within the link header"
    family = min(int.from_bytes(data[:4], "little"), int.from_bytes(data[:4], "big"))
    return 4 if family == 2 or family in _BSD_IPV6 else f"address family {family}"


def _ppp(data: Data) -> int | str:
    return _ppp_at(data, 2 if bytes(data[:2]) == b"\xff\x03" else 0)


def _pppoe(data: Data, at: int) -> int | str:
    return _ppp_at(data, at + 6)


def _ppp_at(data: Data, at: int) -> int | str:
    protocol = int.from_bytes(data[at : at + 2], "big")
    return at + 2 if protocol in {_PPP_IPV4, _PPP_IPV6} else f"PPP protocol {protocol:#06x}"


def _by_ethertype(data: Data, at: int) -> int | str:
    if len(data) < at + 2:
        return "cut off within the link header"
    return _of_protocol(data, int.from_bytes(data[at : at + 2], "big"), at + 2)


def _of_protocol(data: Data, protocol: int, at: int) -> int | str:
    """The offset of the IP packet behind tags and labels; ``at`` is where the header of ``protocol`` begins."""
    for _ in range(_MOST_TAGS):
        if protocol in {_IPV4, _IPV6}:
            return at
        if len(data) < at + 4:
            return "cut off within the link header"
        if protocol in _VLAN:
            protocol = int.from_bytes(data[at + 2 : at + 4], "big")
            at += 4
        elif protocol in _MPLS:
            is_last = data[at + 2] & 1  # bottom of the label stack (RFC 3032); what follows is IP by its version
            at += 4
            if is_last:
                return at
        elif protocol == _PPPOE_SESSION:
            return _pppoe(data, at)
        else:
            return f"ethertype {protocol:#06x}" if protocol >= 0x0600 else "an 802.3 frame"
    return "too many tags"


_READERS: dict[int, Callable[[Data], int | str]] = {
    0: _loopback,  # NULL
    1: _ethernet,
    9: _ppp,
    12: _raw,
    14: _raw,
    50: _ppp,  # PPP_HDLC
    101: _raw,
    108: _loopback,
    113: _cooked,
    228: _raw,  # IPV4
    229: _raw,  # IPV6
    276: _cooked_2,
}
