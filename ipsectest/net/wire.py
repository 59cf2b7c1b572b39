"""What drivers need of a way to send and receive datagrams; PacketWire and SocketWire are two."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import Instant


class Direction(StrEnum):
    """Seen from us."""

    SENT = "sent"
    RECEIVED = "received"


Tap = Callable[[Instant, Direction, bytes], None]
"""Is shown every IP packet as it goes by: when, which way, all its octets."""


@dataclass(frozen=True, slots=True)
class IcmpError:
    """An ICMP or ICMPv6 error about something we sent (RFC 792, RFC 4443 section 3)."""

    reporter: str
    """Who says so."""
    type: int
    code: int
    mtu: int
    """Next-hop MTU of "fragmentation needed" and "packet too big", else 0."""
    source: Address
    destination: Address
    """Of the packet it is about, which we sent."""
    protocol: int


class Wire(Protocol):
    """Datagrams in and out; never blocks."""

    icmp_errors: deque[IcmpError]

    def handles(self) -> Sequence[int]:
        """File descriptors to wait on for reading."""
        ...

    def receive(self, handle: int, now: Instant) -> list[Datagram]:
        """What has arrived at one of them."""
        ...

    def send(self, datagram: Datagram, now: Instant) -> bool:
        """Send; False if the machine did not take it."""
        ...

    def close(self) -> None:
        """Let go of all descriptors."""
        ...
