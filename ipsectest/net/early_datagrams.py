"""ESP that arrives on an SPI of ours before its SA does: kept here until then, for the plane in user space."""

from dataclasses import dataclass, field

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant

PACKETS, OCTETS, SECONDS = 1024, 16 << 20, 5.0
"""What is kept at most: packets for one SPI, octets in all, and how long after the first packet of an SPI."""
AT_ONCE = 64
"""SPIs that packets are kept for."""


@dataclass(slots=True)
class _Held:
    datagrams: list[Datagram] = field(default_factory=list)
    until: Instant | None = None


class EarlyDatagrams:
    """What ``EarlyPackets`` is for the kernel's plane (RFC 7296 section 2.8); sans-IO.

    What comes for an SPI that is held, and is too much or too late, is nobody's business here: ``keep`` says no.
    """

    def __init__(self) -> None:
        self.kept = self.refused = 0
        """Packets that had to wait, and those that were too much."""
        self._held: dict[bytes, _Held] = {}
        self._octets = 0

    def hold(self, spi: bytes) -> None:
        """Keep packets of this SPI from now on, unless too many SPIs are waited for already."""
        if len(self._held) < AT_ONCE:
            self._held.setdefault(spi, _Held())

    def keep(self, datagram: Datagram, now: Instant) -> bool:
        """Whether a datagram with ESP is for an SPI that is held, and was kept."""
        held = self._held.get(datagram.data[:4])
        if held is None:
            return False
        if len(held.datagrams) >= PACKETS or self._octets + len(datagram.data) > OCTETS:
            self.refused += 1
            return False
        self.kept += 1
        self._octets += len(datagram.data)
        held.datagrams.append(datagram)
        if held.until is None:
            held.until = now + SECONDS
        return True

    def release(self, spi: bytes) -> list[Datagram]:
        """What was kept of an SPI, oldest first; from now on nothing is."""
        held = self._held.pop(spi, _Held())
        self._octets -= sum(len(datagram.data) for datagram in held.datagrams)
        return held.datagrams

    def get_timer(self) -> Instant | None:
        """When packets have waited long enough."""
        return min((held.until for held in self._held.values() if held.until is not None), default=None)

    def overdue(self, now: Instant) -> list[bytes]:
        """SPIs whose SA does not come."""
        return [spi for spi, held in self._held.items() if held.until is not None and held.until <= now]
