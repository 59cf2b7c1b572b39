"""The user-space data plane: inner packets of a TUN device to and from ESP datagrams on a wire."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant, RandomBytes
from ipsectest.base.iana import NAT_KEEPALIVE, NAT_T_PORT, NON_ESP_MARKER
from ipsectest.net.early_datagrams import EarlyDatagrams
from ipsectest.net.tun import TunDevice
from ipsectest.net.wire import Wire
from ipsectest.wire.ip import ESP, UDP


class Boundary(Protocol):
    """The engine behind: ``ipsec.gateway.Gateway`` is one. Neither call raises for any octets."""

    def seal(self, packet: bytes, random: RandomBytes) -> Datagram | None:
        """The protected datagram for an inner packet, None if it was dropped."""
        ...

    def open(self, datagram: Datagram) -> bytes | None:
        """The inner packet of a protected datagram, None if it was dropped."""
        ...

    def keepalives(self) -> list[Datagram]:
        """One NAT keepalive for each UDP-encapsulated path."""
        ...


@dataclass(slots=True)
class PlaneCounters:
    """What went through; drops by reason are counted by the boundary."""

    packets_out: int = 0
    octets_out: int = 0
    packets_in: int = 0
    octets_in: int = 0
    dropped_out: int = 0
    dropped_in: int = 0
    refused: int = 0
    """Packets that the wire or the TUN device did not take."""
    keepalives_sent: int = 0
    keepalives_received: int = 0


def carries_esp(datagram: Datagram, encapsulation_port: int = NAT_T_PORT) -> bool:
    """Whether a datagram is for the data plane: raw ESP, or on port 4500 what is no IKE (RFC 3948 section 2)."""
    if datagram.protocol == ESP:
        return True
    on_port = encapsulation_port in {datagram.source.port, datagram.destination.port}
    return datagram.protocol == UDP and on_port and datagram.data[:4] != NON_ESP_MARKER


class UserDataPlane:
    """A machine for ``EventLoop`` between ``tun`` (inner packets) and ``wire`` (ESP).

    The wire's own datagrams come by ``receive``, from whoever reads the wire: a ``UdpDriver``, or this
    plane itself with ``owns_wire``. ``keepalive`` is the interval of NAT keepalives in seconds on an idle
    path (RFC 3948 section 4: default 20), None for none.
    """

    def __init__(
        self,
        boundary: Boundary,
        tun: TunDevice,
        wire: Wire,
        random: RandomBytes,
        *,
        owns_wire: bool = False,
        keepalive: float | None = 20.0,
    ) -> None:
        self.boundary = boundary
        self.tun = tun
        self.wire = wire
        self.counters = PlaneCounters()
        self.early = EarlyDatagrams()
        self._random = random
        self._owns_wire = owns_wire
        self._keepalive = keepalive
        self._last_sent: Instant | None = None

    def handles(self) -> Sequence[int]:
        """The TUN device, and the wire if it is ours alone."""
        return (self.tun.fileno(), *(self.wire.handles() if self._owns_wire else ()))

    def readable(self, handle: int, now: Instant) -> None:
        """Move what waits at one descriptor."""
        if handle != self.tun.fileno():
            for datagram in self.wire.receive(handle, now):
                if carries_esp(datagram):
                    self.receive(datagram, now)
            return
        for packet in self.tun.read():
            self.send(packet, now)

    def send(self, packet: bytes, now: Instant) -> None:
        """Protect an inner packet and put it on the wire."""
        datagram = self.boundary.seal(packet, self._random)
        if datagram is None:
            self.counters.dropped_out += 1
        elif self.wire.send(datagram, now):
            self._last_sent = now
            self.counters.packets_out += 1
            self.counters.octets_out += len(packet)
        else:
            self.counters.refused += 1

    def hold(self, spi: bytes) -> None:
        """Keep what comes on this SPI, which has no SA yet, until ``release``."""
        self.early.hold(spi)

    def release(self, spi: bytes) -> None:
        """Take what was kept of an SPI: its SA is there by now, or there will be none."""
        for datagram in self.early.release(spi):
            self._open(datagram)

    def receive(self, datagram: Datagram, now: Instant) -> None:
        """Hand the inner packet of a protected datagram to the TUN device."""
        if datagram.protocol == UDP and datagram.data == NAT_KEEPALIVE:
            self.counters.keepalives_received += 1  # no reaction (RFC 3948 section 2.3)
        elif not self.early.keep(datagram, now):
            self._open(datagram)

    def _open(self, datagram: Datagram) -> None:
        packet = self.boundary.open(datagram)
        if packet is None:
            self.counters.dropped_in += 1
        elif self.tun.write(packet):
            self.counters.packets_in += 1
            self.counters.octets_in += len(packet)
        else:
            self.counters.refused += 1

    def get_timer(self) -> Instant | None:
        """The end of the idle interval after the last packet sent, or when what came early has waited long enough."""
        times = self._keepalive_at(), self.early.get_timer()
        return min((time for time in times if time is not None), default=None)

    def _keepalive_at(self) -> Instant | None:
        if self._keepalive is None or self._last_sent is None:
            return None
        return self._last_sent + self._keepalive

    def handle_timer(self, now: Instant) -> None:
        """Send the keepalives that are due, give up what waits for an SA that does not come."""
        for spi in self.early.overdue(now):
            self.release(spi)
        timer = self._keepalive_at()
        if timer is None or now < timer:
            return
        self._last_sent = now
        for datagram in self.boundary.keepalives():
            self.counters.keepalives_sent += self.wire.send(datagram, now)
