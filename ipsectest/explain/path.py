"""What a capture tells of the way between two hosts: ICMP errors about IKE and ESP, IP fragments, keepalives."""

from dataclasses import dataclass

from ipsectest.base.iana import IKE_PORT, NAT_T_PORT
from ipsectest.decrypt.frames import Frame
from ipsectest.wire.datagrams import host_text
from ipsectest.wire.ip import AH, ESP, ICMP, ICMPV6, UDP, IpPacket

MOST_ERRORS = 1000
MOST_FRAGMENTED = 1000
MOST_PIECES = 64
"""Frames of one packet that are remembered."""
_UNREACHABLE = {
    0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
    4: "fragmentation needed", 9: "network administratively prohibited", 10: "host administratively prohibited",
    13: "communication administratively prohibited",
}  # fmt: skip
_UNREACHABLE_6 = {
    0: "no route to destination", 1: "communication administratively prohibited", 3: "address unreachable",
    4: "port unreachable", 5: "source address failed policy", 6: "reject route to destination",
}  # fmt: skip


_ANY = -1
_ERRORS: dict[tuple[int, int], dict[int, str]] = {
    (ICMP, 3): _UNREACHABLE | {_ANY: "unreachable"},
    (ICMP, 11): {_ANY: "time exceeded"},
    (ICMPV6, 1): _UNREACHABLE_6 | {_ANY: "unreachable"},
    (ICMPV6, 2): {_ANY: "packet too big"},
    (ICMPV6, 3): {_ANY: "time exceeded"},
}
"""By protocol and type, then by code."""


@dataclass(frozen=True, slots=True)
class IcmpError:
    """An ICMP error about a packet of IKE, ESP or AH."""

    frame: int
    nanoseconds: int
    reporter: str
    """Who sent it."""
    source: str
    """Of the packet that it is about."""
    destination: str
    protocol: int
    port: int
    """UDP port that was not reached; 0 for others."""
    text: str
    mtu: int = 0
    """Where the packet was too big."""


@dataclass(slots=True)
class FragmentedPacket:
    """Fragments of one packet."""

    source: str
    destination: str
    frames: list[int]
    is_whole: bool = False


class Path:
    """Collects; bounded."""

    def __init__(self) -> None:
        self.errors: list[IcmpError] = []
        self.fragmented: dict[tuple[bytes, bytes, int, int], FragmentedPacket] = {}
        self._latest: FragmentedPacket | None = None

    def error(self, frame: Frame, packet: IpPacket) -> None:
        """A packet that may be an ICMP error."""
        told = _told(packet)
        if told is None or len(self.errors) >= MOST_ERRORS:
            return
        text, about, mtu = told
        head = _addresses(about)
        if head is None:
            return
        source, destination, protocol, payload = head
        ports = int.from_bytes(payload[:2], "big"), int.from_bytes(payload[2:4], "big")
        is_ike = protocol == UDP and len(payload) >= 4 and not {IKE_PORT, NAT_T_PORT}.isdisjoint(ports)
        if is_ike or protocol in {ESP, AH}:
            port = ports[1] if is_ike else 0
            reporter = host_text(packet.source)
            self.errors.append(
                IcmpError(frame.number, frame.nanoseconds, reporter, source, destination, protocol, port, text, mtu)
            )

    def fragment(self, frame: Frame, packet: IpPacket) -> None:
        """An IP fragment of UDP or ESP."""
        key = packet.source, packet.destination, packet.protocol, packet.identification
        if packet.protocol not in {UDP, ESP}:
            return
        found = self.fragmented.get(key)
        if found is None:
            if len(self.fragmented) >= MOST_FRAGMENTED:
                self.fragmented.pop(next(iter(self.fragmented)))
            ends = host_text(packet.source), host_text(packet.destination)
            found = self.fragmented[key] = FragmentedPacket(*ends, [])
        if len(found.frames) < MOST_PIECES:
            found.frames.append(frame.number)
        self._latest = found

    def completed(self, frame: Frame) -> None:
        """A packet was put together; its last fragment is in this frame."""
        if self._latest and self._latest.frames[-1] == frame.number:
            self._latest.is_whole = True


def _told(packet: IpPacket) -> tuple[str, bytes, int] | None:
    """What an ICMP error says, the packet that it quotes, and the MTU."""
    data = packet.payload
    names = _ERRORS.get((packet.protocol, data[0])) if len(data) >= 8 else None
    if names is None:
        return None
    mtu = int.from_bytes(data[6:8] if packet.protocol == ICMP else data[4:8], "big") if data[0] in {2, 3} else 0
    text = names.get(data[1], f"{names[_ANY]}, code {data[1]}" if data[1] else names[_ANY])
    return text, data[8:], mtu if text in {"fragmentation needed", "packet too big"} else 0


def _addresses(quoted: bytes) -> tuple[str, str, int, bytes] | None:
    """Source, destination, protocol and payload of a quoted packet, which is cut off."""
    if len(quoted) >= 20 and quoted[0] >> 4 == 4:
        at = (quoted[0] & 15) * 4
        return host_text(quoted[12:16]), host_text(quoted[16:20]), quoted[9], quoted[at:]
    if len(quoted) >= 40 and quoted[0] >> 4 == 6:
        return host_text(quoted[8:24]), host_text(quoted[24:40]), quoted[6], quoted[40:]
    return None
