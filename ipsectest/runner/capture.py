"""A capture of one case as pcapng (draft-ietf-opsawg-pcapng), raw IP packets in the order of time."""

import struct
from collections.abc import Iterable
from ipaddress import ip_address

from ipsectest.base.addresses import Datagram
from ipsectest.wire.ip import build_ip, build_udp

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_LINKTYPE_RAW = 101  # an IPv4 or IPv6 header comes first
_COMMENT, _APPLICATION, _RESOLUTION = 1, 4, 9
_MICROSECONDS = 1_000_000
UDP = 17


def packet(datagram: Datagram) -> bytes:
    """The IP packet that carries a datagram, for wires that know none (the built-in peer in memory)."""
    source, destination = ip_address(datagram.source.host).packed, ip_address(datagram.destination.host).packed
    payload = datagram.data
    if datagram.protocol == UDP:
        ports = datagram.source.port, datagram.destination.port
        payload = build_udp(source, destination, *ports, datagram.data)
    return build_ip(source, destination, datagram.protocol, payload)


def pcapng(packets: Iterable[tuple[float, bytes]], comment: str = "") -> bytes:
    """The file: (seconds since the epoch, IP packet) in, octets out; `comment` describes the section."""
    section = struct.pack("<IHHq", _BYTE_ORDER_MAGIC, 1, 0, -1)
    section += _option(_COMMENT, comment.encode()) + _option(_APPLICATION, b"ipsectest") + bytes(4)
    interface = struct.pack("<HHI", _LINKTYPE_RAW, 0, 0) + _option(_RESOLUTION, b"\x06") + bytes(4)
    blocks = [_block(_SECTION, section), _block(_INTERFACE, interface)]
    for at, octets in packets:
        ticks = round(at * _MICROSECONDS)
        head = struct.pack("<IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(octets), len(octets))
        blocks.append(_block(_PACKET, head + _padded(octets)))
    return b"".join(blocks)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value) if value else b""


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)
