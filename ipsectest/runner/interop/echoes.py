"""Pings from a namespace, sent and counted by ourselves while the event loop runs."""

import secrets
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from ipsectest.base.clock import Instant
from ipsectest.lab.namespaces import Namespace
from ipsectest.net.loop import EventLoop, Machine
from ipsectest.runner.interop.watch import PATTERN
from ipsectest.wire.ip import checksum

_V4_TYPES, _V6_TYPES = (8, 0), (128, 129)
"""Echo request and reply (RFC 792, RFC 4443)."""
_INTERVAL = 0.1
"""Seconds to wait for a reply before the next request."""


class Echoes:
    """A machine for ``EventLoop`` that sends requests one after another until ``count`` replies have come."""

    def __init__(self, namespace: Namespace, source: str, destination: str, count: int) -> None:
        self.count = count
        self.sent = 0
        self.received = 0
        self._v6 = ":" in source
        self._destination = destination
        self._identifier = secrets.randbits(16)
        self._due: Instant = 0.0
        self._answered: set[int] = set()
        family, protocol = (
            (socket.AF_INET6, socket.IPPROTO_ICMPV6) if self._v6 else (socket.AF_INET, socket.IPPROTO_ICMP)
        )
        self._socket = namespace.socket(family, socket.SOCK_RAW, protocol)
        self._socket.setblocking(False)
        try:
            self._socket.bind((source, 0))
        except OSError:
            self._socket.close()
            raise

    def handles(self) -> Sequence[int]:
        """The raw socket."""
        return (self._socket.fileno(),)

    def readable(self, handle: int, now: Instant) -> None:
        """Count replies; a reply brings the next request at once."""
        del handle
        with suppress(BlockingIOError):
            while True:
                packet = self._socket.recv(2048)
                message = packet if self._v6 else packet[(packet[0] & 15) * 4 :]
                if self._is_reply(message):
                    self.received += 1
                    self._due = now

    def get_timer(self) -> Instant | None:
        """When the next request is due."""
        return self._due if self.received < self.count else None

    def handle_timer(self, now: Instant) -> None:
        """Send a request; where there is no way yet, later."""
        self._due = now + _INTERVAL
        with suppress(OSError):
            self._socket.sendto(self._request(self.sent + 1), (self._destination, 0))
        self.sent += 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _request(self, sequence: int) -> bytes:
        kind = (_V6_TYPES if self._v6 else _V4_TYPES)[0]
        message = struct.pack("!BBHHH", kind, 0, 0, self._identifier, sequence) + PATTERN
        # The kernel fills in the checksum of ICMPv6.
        return message if self._v6 else message[:2] + checksum(message).to_bytes(2, "big") + message[4:]

    def _is_reply(self, message: bytes) -> bool:
        if len(message) < 8 or message[0] != (_V6_TYPES if self._v6 else _V4_TYPES)[1]:
            return False
        identifier, sequence = struct.unpack("!HH", message[4:8])
        if identifier != self._identifier or sequence in self._answered:
            return False
        self._answered.add(sequence)
        return message[8:] == PATTERN


def echoes_in(namespace: Namespace) -> Callable[[str, str, int], Echoes]:
    """What pings from a namespace (``play.Pinger``)."""
    return lambda source, destination, count: Echoes(namespace, source, destination, count)


class Pings(Machine, Protocol):
    """Pings under way."""

    count: int
    sent: int
    received: int

    def close(self) -> None:
        """End them."""
        ...


def ping(loop: EventLoop, several: Sequence[Pings], timeout: float) -> bool:
    """Run the loop until all replies have come, ``timeout`` seconds at most; whether they have."""
    for echoes in several:
        loop.add(echoes)
    try:
        return loop.run_until(lambda: all(echoes.received >= echoes.count for echoes in several), timeout)
    finally:
        for echoes in several:
            loop.remove(echoes)
