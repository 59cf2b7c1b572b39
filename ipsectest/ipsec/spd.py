"""The security policy database: which traffic is protected, passed or discarded (RFC 4301 section 4.4.1)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, ip_network

from ipsectest.wire.ip import ICMP, ICMPV6, TCP, UDP, IpPacket

ANY_PORT = (0, 65535)
OPAQUE_PORT = (65535, 0)
"""Matches packets whose ports cannot be seen, such as non-first fragments (RFC 4301 section 4.4.1.1)."""
_SCTP, _DCCP, _UDP_LITE = 132, 33, 136
WITH_PORTS = frozenset({TCP, UDP, _SCTP, _DCCP, _UDP_LITE})


@dataclass(frozen=True, slots=True)
class TrafficRange:
    """One side of a flow: addresses, protocol and ports, as a Traffic Selector of RFC 7296 section 3.13.1 has them."""

    start: bytes
    """Lowest address, packed."""
    end: bytes
    protocol: int = 0
    """0 means any."""
    start_port: int = 0
    """For ICMP: type * 256 + code."""
    end_port: int = 65535

    @classmethod
    def of(cls, prefix: str, protocol: int = 0, ports: tuple[int, int] = ANY_PORT) -> "TrafficRange":
        """From ``198.51.100.0/24``, ``2001:db8::/64``, ``192.0.2.1-192.0.2.9`` or one address. Raises ValueError."""
        first, dash, last = prefix.partition("-")
        if dash:
            start, end = ip_address(first.strip()).packed, ip_address(last.strip()).packed
        else:
            network = ip_network(prefix, strict=False)
            start, end = network.network_address.packed, network.broadcast_address.packed
        if len(start) != len(end) or start > end:
            raise ValueError(f"no address range: {prefix}")
        return cls(start, end, protocol, *ports)

    def contains(self, address: bytes, protocol: int, port: int | None) -> bool:
        """Whether one side of a packet falls into the range; ``port`` None means it cannot be seen."""
        if len(address) != len(self.start) or not self.start <= address <= self.end:
            return False
        if self.protocol not in {0, protocol}:
            return False
        if (self.start_port, self.end_port) == ANY_PORT:
            return True
        if port is None:
            return (self.start_port, self.end_port) == OPAQUE_PORT
        return self.start_port <= port <= self.end_port


@dataclass(frozen=True, slots=True)
class Flow:
    """What selectors look at, from our side: local is the source of what we send."""

    local: bytes
    remote: bytes
    protocol: int
    local_port: int | None
    remote_port: int | None

    @classmethod
    def of(cls, packet: IpPacket, *, inbound: bool) -> "Flow":
        """The flow of a packet; ports of fragments other than the first cannot be seen."""
        source_port = destination_port = None
        if packet.fragment_offset == 0:
            if packet.protocol in WITH_PORTS and len(packet.payload) >= 4:
                source_port = int.from_bytes(packet.payload[:2], "big")
                destination_port = int.from_bytes(packet.payload[2:4], "big")
            elif packet.protocol in {ICMP, ICMPV6} and len(packet.payload) >= 2:
                source_port = destination_port = int.from_bytes(packet.payload[:2], "big")
        if inbound:
            return cls(packet.destination, packet.source, packet.protocol, destination_port, source_port)
        return cls(packet.source, packet.destination, packet.protocol, source_port, destination_port)


@dataclass(frozen=True, slots=True)
class Selector:
    """Traffic between any of the local and any of the remote ranges."""

    local: tuple[TrafficRange, ...]
    remote: tuple[TrafficRange, ...]

    @classmethod
    def between(cls, local: str, remote: str, protocol: int = 0) -> "Selector":
        """Two prefixes, as in ``Selector.between("198.51.100.0/24", "203.0.113.0/24")``."""
        return cls((TrafficRange.of(local, protocol),), (TrafficRange.of(remote, protocol),))

    def matches(self, flow: Flow) -> bool:
        """Whether the flow belongs to this traffic."""
        return any(r.contains(flow.local, flow.protocol, flow.local_port) for r in self.local) and any(
            r.contains(flow.remote, flow.protocol, flow.remote_port) for r in self.remote
        )


class Action(StrEnum):
    """RFC 4301 section 4.4.1."""

    PROTECT = "protect"
    BYPASS = "bypass"
    DISCARD = "discard"


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """One line of the SPD; lower ``priority`` comes first, equal ones stay in the order given."""

    selector: Selector
    action: Action
    priority: int = 0
    name: str = ""


def lookup(entries: Iterable[PolicyEntry], flow: Flow) -> PolicyEntry | None:
    """The entry that decides; None where none matches, which means DISCARD (RFC 4301 section 5)."""
    matching = (entry for entry in entries if entry.selector.matches(flow))
    return min(matching, key=lambda entry: entry.priority, default=None)


def admits(selectors: Sequence[Selector], flow: Flow) -> bool:
    """Whether an SA with these selectors may carry the flow; an SA without any carries all."""
    return not selectors or any(selector.matches(flow) for selector in selectors)
