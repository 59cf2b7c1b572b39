"""ESP and AH that arrive on an SPI of ours before its SA does: the kernel keeps them until then."""

from collections.abc import Sequence
from dataclasses import dataclass

from ipsectest.base.clock import Instant
from ipsectest.base.iana import NAT_T_PORT
from ipsectest.net.early_datagrams import AT_ONCE, OCTETS, PACKETS, SECONDS
from ipsectest.net.netfilter.packet_queues import PacketQueues
from ipsectest.net.netfilter.spi_table import SpiTable

LINGER = 1.0
"""Seconds that the table stays when it is empty: packets may be on their way through it to a queue."""
_TABLE = "ipsectest-early-packets"


@dataclass(slots=True)
class _Held:
    queue: int
    octets: int = 0
    until: Instant | None = None


class EarlyPackets:
    """A machine for ``EventLoop``; one for each namespace.

    Who answers CREATE_CHILD_SA or IKE_AUTH may send on the new SA at once (RFC 7296 section 2.8), but without this
    its packets are lost until we have made keys of the answer. Nothing is copied and nothing changes its place: the
    packets wait in a queue of the kernel just before its SAs are looked up, and go on from there. They are nobody's
    yet, so all is bounded; but a stranger would have to guess an SPI that only travels encrypted.
    Where the kernel has no nftables with queues (NFT_QUEUE, Linux 5.12), packets are lost as ever: see ``problem``.
    """

    def __init__(self, namespace: str | None, port: int = NAT_T_PORT) -> None:
        """``port`` is ours of UDP encapsulation."""
        self.problem: OSError | None = None
        """Why nothing is kept."""
        self.kept = self.refused = 0
        """Packets that had to wait, and those of them that were too much."""
        self._held: dict[bytes, _Held] = {}
        self._idle: list[int] = []
        self._empty_until: Instant | None = None
        self._queues: PacketQueues | None = None
        self._table: SpiTable | None = None
        try:
            self._table = SpiTable(namespace, _TABLE, port)
            self._queues = PacketQueues(namespace, PACKETS)
        except OSError as error:
            self._give_up(error)

    def hold(self, spi: bytes) -> None:
        """Keep packets of this SPI from now on; no matter if that cannot be done."""
        if self._table is None or self._queues is None or spi in self._held or len(self._held) >= AT_ONCE:
            return
        try:
            queue = self._idle.pop() if self._idle else self._queues.open()
            self._table.add(spi, queue)
        except OSError as error:
            self._give_up(error)
            return
        self._held[spi] = _Held(queue)
        self._empty_until = None

    def release(self, spi: bytes, now: Instant) -> None:
        """Give what was kept of this SPI to the kernel, which has its SA by now or drops what comes for it."""
        if self._table is None or self._queues is None or spi not in self._held:
            return
        try:
            self._count(now)
            queue = self._held.pop(spi).queue
            self._queues.accept_all(queue)
            self._table.remove(spi)
            self._queues.accept_all(queue)  # what has come meanwhile
        except OSError as error:
            self._give_up(error)
            return
        self._idle.append(queue)
        if not self._held:
            self._empty_until = now + LINGER

    def handles(self) -> Sequence[int]:
        """The descriptor that tells of packets."""
        return (self._queues.fileno(),) if self._queues else ()

    def readable(self, handle: int, now: Instant) -> None:
        """Count what waits."""
        del handle
        try:
            self._count(now)
        except OSError as error:
            self._give_up(error)

    def get_timer(self) -> Instant | None:
        """When packets have waited long enough, or the table has been empty for so long."""
        times = (self._empty_until, *(held.until for held in self._held.values()))
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Give up SPIs whose SA does not come, and then the table."""
        for spi in [spi for spi, held in self._held.items() if held.until is not None and held.until <= now]:
            self.release(spi, now)
        if self._table is None or self._empty_until is None or self._empty_until > now:
            return
        self._empty_until = None
        try:
            self._table.clear()
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Throw away what is kept. Twice is fine."""
        self._give_up(None)
        if self._queues is not None:
            self._queues.close()
            self._queues = None

    def _count(self, now: Instant) -> None:
        if self._queues is None:
            return
        owners, late = {held.queue: held for held in self._held.values()}, set()
        octets = sum(held.octets for held in self._held.values())
        for one in self._queues.read():
            self.kept += 1
            held = owners.get(one.queue)
            if held is None:
                late.add(one.queue)
            elif octets + one.length > OCTETS:
                self.refused += 1
                self._queues.drop(one)
            else:
                octets += one.length
                held.octets += one.length
                if held.until is None:
                    held.until = now + SECONDS
        for queue in late:  # packets were on their way there when the SPI was released
            self._queues.accept_all(queue)

    def _give_up(self, error: OSError | None) -> None:
        """Without the table no packet comes to a queue; the descriptor stays open, as a loop may watch it."""
        self.problem = self.problem or error
        self._held.clear()
        self._idle.clear()
        self._empty_until = None
        if self._table is not None:
            self._table.close()
            self._table = None
