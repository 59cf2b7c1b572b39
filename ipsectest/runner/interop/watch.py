"""What went over the link of a cell: recorded, and looked through for anything that should have been protected."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from ipsectest.base.clock import Instant
from ipsectest.base.iana import IKE_PORT, NAT_T_PORT
from ipsectest.decrypt.reassembly import Fragments
from ipsectest.lab.capture import LinkCapture
from ipsectest.lab.namespaces import Namespace
from ipsectest.net.packet_wire import icmp_error_of
from ipsectest.net.pcapng import PcapngWriter
from ipsectest.net.wire import Direction
from ipsectest.runner.interop.settings import Ends
from ipsectest.wire import parse_message
from ipsectest.wire.ip import AH, ESP, ICMP, ICMPV6, UDP, IpPacket, parse_ip

PATTERN = b"ipsectest inside the tunnel "
"""Payload of the pings: must never be seen on the wire."""

GUEST_PATTERN = b"ipsectest tunnel"
"""The same of ping(8), which takes 16 octets."""
_PATTERNS = PATTERN, GUEST_PATTERN

_OTHER = {Direction.SENT: Direction.RECEIVED, Direction.RECEIVED: Direction.SENT}
_ETHERNET_HEADER = 14
_IP_TYPES = (b"\x08\x00", b"\x86\xdd")
_UDP_HEADER = 8
_NEIGHBOUR_DISCOVERY = range(130, 144)
"""ICMPv6 types of multicast listeners and neighbours (RFC 2710, RFC 4861, RFC 3810)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame seen by the initiator; ``at`` is in nanoseconds since 1970."""

    at: int
    sent: bool
    data: bytes


class _Recorder(PcapngWriter):
    """Writes a capture and keeps its frames."""

    def __init__(self, file: io.BytesIO, *, is_far: bool) -> None:
        super().__init__(file)
        self._is_far = is_far
        self.frames: list[Frame] = []

    def packet(
        self,
        nanoseconds: int,
        data: bytes,
        *,
        interface: int = 0,
        direction: Direction | None = None,
        comment: str = "",
        length: int | None = None,
    ) -> None:
        if self._is_far and direction:
            direction = _OTHER[direction]
        self.frames.append(Frame(nanoseconds, direction is Direction.SENT, data))
        super().packet(nanoseconds, data, interface=interface, direction=direction, comment=comment, length=length)


class Watch:
    """Records one link; a machine for ``net.loop.EventLoop``."""

    def __init__(self, namespace: Namespace, link: str, *, is_far: bool = False) -> None:
        self._file = io.BytesIO()
        self._recorder = _Recorder(self._file, is_far=is_far)
        self._capture = LinkCapture(namespace, link, self._recorder)

    def handles(self) -> Sequence[int]:
        """The packet socket."""
        return (self._capture.fileno(),)

    def readable(self, handle: int, now: Instant) -> None:
        """Record what waits."""
        del handle, now
        self._capture.drain()

    def get_timer(self) -> None:
        """None."""

    def handle_timer(self, now: Instant) -> None:
        """Not called."""

    def close(self) -> "Seen":
        """Record what still waits, and stop."""
        self._capture.close()
        return Seen(self._recorder.frames, self._file.getvalue())


@dataclass(frozen=True, slots=True)
class Seen:
    """All frames of a cell, and the same as a pcapng file."""

    frames: Sequence[Frame] = ()
    pcapng: bytes = field(default=b"", repr=False)

    def protected(self) -> Counter[str]:
        """How many ESP packets went ``plain``, how many by ``udp``; how many with ``ah``."""
        return Counter(kind for frame in self.frames if (kind := kind_of(frame)) in PROTECTED)

    def in_clear(self, ends: Ends, *, confidential: bool = True) -> list[str]:
        """A line for each packet that should have been inside the tunnel, or is nothing that gateways say.

        Not ``confidential``: AH shows what it protects.
        """
        inner = {ip_address(ends.inner_initiator).packed, ip_address(ends.inner_responder).packed}
        inner -= {ip_address(ends.initiator).packed, ip_address(ends.responder).packed}  # transport mode
        lines = []
        for frame in self.frames:
            ip = _ip(frame)
            if not confidential and kind_of(frame) == "ah":
                continue
            has_pattern = any(pattern in frame.data for pattern in _PATTERNS)
            if ip is None and not has_pattern:
                continue
            told = ip is None or {ip.source, ip.destination} & inner or has_pattern
            if ip is None or told or kind_of(frame) == "other":
                lines.append(_described(frame, ip))
        return lines

    def slowest_answer(self) -> float:
        """The longest time in seconds between the first copy of an IKE request and its response."""
        asked: dict[tuple[bytes, int, bool], int] = {}
        slowest = 0.0
        for frame in self.frames:
            octets = ike_message(frame)
            message = parse_message(octets) if octets else None
            if message is None or message.headerless:
                continue
            if not message.is_response:
                asked.setdefault((message.initiator_spi, message.message_id, frame.sent), frame.at)
                continue
            begun = asked.pop((message.initiator_spi, message.message_id, not frame.sent), None)
            slowest = max(slowest, (frame.at - begun) / 1e9 if begun is not None else 0.0)
        return slowest


PROTECTED = frozenset({"plain", "udp", "ah"})
"""What `kind_of` says of packets with ESP or AH."""


def _ip(frame: Frame) -> IpPacket | None:
    is_ip = frame.data[12:14] in _IP_TYPES
    return parse_ip(frame.data[_ETHERNET_HEADER:]) if is_ip else None


def whole(frame: Frame, fragments: Fragments) -> Frame | None:
    """The frame, or the packet that its IP fragment completes; None while pieces are missing."""
    packet = fragments.take(frame.data[_ETHERNET_HEADER:], frame.at) if _ip(frame) else frame.data[_ETHERNET_HEADER:]
    return None if packet is None else replace(frame, data=frame.data[:_ETHERNET_HEADER] + packet)


def kind_of(frame: Frame) -> str:
    """``plain`` or ``udp`` ESP, ``ah``, ``ike``, ``link`` (keeps a link alive) or ``other``; not of its content.

    An ICMP error is of the link where it is about what gateways say: a daemon that has closed its socket lets the
    kernel answer a late retransmission so (RFC 1122 section 3.2.2.1).
    """
    ip = _ip(frame)
    if ip is None:
        return "link"
    if ip.protocol in {ESP, AH}:
        return "plain" if ip.protocol == ESP else "ah"
    if ip.protocol == ICMPV6 and ip.payload and ip.payload[0] in _NEIGHBOUR_DISCOVERY:
        return "link"
    if _is_error_about_gateways(ip):
        return "link"
    return _udp_kind(ip) if ip.protocol == UDP else "other"


def _is_error_about_gateways(ip: IpPacket) -> bool:
    error = icmp_error_of(ip)
    if error is None:
        return False
    ports = {error.source.port, error.destination.port}
    return error.protocol in {ESP, AH} or (error.protocol == UDP and bool(ports & {IKE_PORT, NAT_T_PORT}))


def _udp_kind(ip: IpPacket) -> str:
    if ip.fragment_offset:
        return "ike"  # nothing but certificates makes datagrams of that size here
    ports = {int.from_bytes(ip.payload[0:2], "big"), int.from_bytes(ip.payload[2:4], "big")}
    if NAT_T_PORT in ports:
        marked = ip.payload[_UDP_HEADER : _UDP_HEADER + 4] == bytes(4)
        return "ike" if marked or len(ip.payload) < _UDP_HEADER + 4 else "udp"
    return "ike" if IKE_PORT in ports else "other"


def ike_message(frame: Frame) -> bytes | None:
    """The IKE message in a frame that begins one."""
    ip = _ip(frame)
    if ip is None or kind_of(frame) != "ike" or ip.fragment_offset:
        return None
    ports = ip.payload[0:4]
    data = ip.payload[_UDP_HEADER:]
    is_marked = NAT_T_PORT.to_bytes(2, "big") in (ports[0:2], ports[2:4])
    return data[4:] if is_marked else data


def _described(frame: Frame, ip: IpPacket | None) -> str:
    if ip is None:
        return f"a frame of {len(frame.data)} octets with the payload of a ping"
    ways = f"from {ip_address(ip.source)} to {ip_address(ip.destination)}"
    if ip.protocol in {ICMP, ICMPV6} and len(ip.payload) >= 2:
        return f"{'ICMP' if ip.protocol == ICMP else 'ICMPv6'} type {ip.payload[0]} code {ip.payload[1]} {ways}"
    return f"protocol {ip.protocol} {ways}"
