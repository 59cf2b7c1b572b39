"""The data plane of the built-in peer: the Child SAs of one endpoint, and a host behind them that answers pings."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import RandomBytes
from ipsectest.base.errors import PeerError
from ipsectest.base.iana import NAT_T_PORT, TransformType
from ipsectest.ike.events import ChildInstalled
from ipsectest.ike.sa import ChildSa
from ipsectest.ipsec.drop import Drop, DropReason
from ipsectest.ipsec.gateway import seal_datagram
from ipsectest.ipsec.impair import open_impaired, receiver, sender, trailer
from ipsectest.ipsec.inner import Echo, build_echo, parse_echo, reply_to
from ipsectest.ipsec.packets import inner_of
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.ipsec.spd import Flow, Selector, TrafficRange, admits
from ipsectest.wire import TrafficSelector
from ipsectest.wire.ip import ESP, UDP, parse_ip

_IDENTIFIER = 0x4970
_PING_DATA = b"ipsectest ping from the peer"
_SHORTEST_ESP = 8


@dataclass(slots=True)
class _Tunnel:
    inbound: SecurityAssociation
    outbound: SecurityAssociation
    may_send: bool
    """Whether outbound traffic goes this way already: not while the Child SA it replaces carries it."""


class Tunnels:
    """Child SAs by inbound SPI. ``faults`` are names of ``ipsec.impair.IMPAIRMENTS``."""

    def __init__(self, random: RandomBytes, replay_window: int, faults: Collection[str] = ()) -> None:
        self._random = random
        self._window = replay_window
        self._faults = frozenset(faults)
        self._tunnels: dict[bytes, _Tunnel] = {}
        self._inbound: list[SecurityAssociation] = []  # removed ones too, for the counters
        self._sequence = 0

    def install(self, event: ChildInstalled) -> None:
        """Take a Child SA into use."""
        child = event.child
        if child.replaces and "new-child-not-installed" in self._faults:
            return
        swapped = "wrong-child-keys" in self._faults
        inbound = receiver(_one_way(event, self._window, outbound=False, swapped=swapped), self._faults)
        outbound = sender(_one_way(event, self._window, outbound=True, swapped=swapped), self._faults)
        self._tunnels[child.spi_in] = _Tunnel(inbound, outbound, may_send=child.replaces is None)
        self._inbound.append(inbound)

    def switch(self, child: ChildSa) -> None:
        """Send on this Child SA from now on."""
        if child.spi_in in self._tunnels:
            self._tunnels[child.spi_in].may_send = True

    def remove(self, child: ChildSa) -> None:
        """Forget a Child SA; its successor, if there is one, takes over."""
        self._tunnels.pop(child.spi_in, None)
        if child.successor:
            self.switch(child.successor)

    def move(self, old: Address, new: Address) -> None:
        """The tester's address or port changed: UDP-encapsulated traffic follows (RFC 7296 section 2.23)."""
        for tunnel in self._tunnels.values():
            sa = tunnel.outbound
            if sa.udp_ports and sa.destination == old.host:
                sa.destination, sa.udp_ports = new.host, (sa.udp_ports[0], new.port)

    def knows(self, spi: bytes) -> bool:
        """Whether it is the inbound SPI of a Child SA."""
        return spi in self._tunnels

    def receive(self, datagram: Datagram) -> list[Datagram]:
        """Take ESP, plain or out of UDP; what is to be sent in answer."""
        data = datagram.data
        if datagram.protocol == UDP and len(data) < _SHORTEST_ESP:
            if "answers-keepalive" not in self._faults:
                return []  # too short for ESP, or a NAT keepalive (RFC 3948 sections 2.2 and 2.3)
            return [Datagram(data + b"\0", datagram.destination, datagram.source)]
        tunnel = self._tunnels.get(data[:4])
        if tunnel is None and "ignores-esp-spi" in self._faults:
            tunnel = next(iter(self._tunnels.values()), None)
        if tunnel is None:
            return []
        opened = open_impaired(tunnel.inbound, data, self._faults)
        if isinstance(opened, Drop):
            dummy = opened.reason is DropReason.DUMMY and "answers-dummy" in self._faults
            return [seal_datagram(tunnel.outbound, self._last_words(tunnel), self._random)] if dummy else []
        tunnel.may_send = True  # the tester uses it, so both ends have it (RFC 7296 section 2.8)
        passed = inner_of(tunnel.inbound, opened)
        echo = None if isinstance(passed, Drop) else parse_echo(passed.inner)
        return self._send(build_echo(reply_to(echo))) if echo and not echo.is_reply else []

    def ping(self, source: str, destination: str) -> list[Datagram]:
        """One echo request; PeerError if no Child SA carries it."""
        self._sequence += 1
        echo = Echo(source, destination, _IDENTIFIER, self._sequence & 0xFFFF, _PING_DATA, is_reply=False)
        datagrams = self._send(build_echo(echo))
        if not datagrams:
            raise PeerError(f"no Child SA carries a ping from {source} to {destination}")
        return datagrams

    def dropped(self, reasons: Iterable[DropReason]) -> int:
        """Packets dropped for these reasons on all Child SAs there ever were."""
        return sum(sa.drops[reason] for sa in self._inbound for reason in reasons)

    def _send(self, packet: bytes) -> list[Datagram]:
        ip = parse_ip(packet)
        flow = Flow.of(ip, inbound=False) if ip else None
        fitting = [t for t in self._tunnels.values() if flow and admits(t.outbound.selectors, flow)]
        chosen = [t for t in fitting if t.may_send] or fitting
        if not chosen:
            return []
        outbound = chosen[-1].outbound
        return [seal_datagram(outbound, packet, self._random, trailer(outbound, packet, self._faults))]

    def _last_words(self, tunnel: _Tunnel) -> bytes:
        selector = tunnel.outbound.selectors[0]
        source, destination = selector.local[0].start, selector.remote[0].start
        hosts = (str(ip_address(source)), str(ip_address(destination)))
        return build_echo(Echo(*hosts, _IDENTIFIER, 0, _PING_DATA, is_reply=False))


def carries_esp(datagram: Datagram) -> bool:
    """Whether a datagram is for the data plane (RFC 3948 section 2)."""
    if datagram.protocol == UDP:
        return datagram.destination.port == NAT_T_PORT and datagram.data[:4] != bytes(4)
    return datagram.protocol == ESP


def _one_way(event: ChildInstalled, window: int, *, outbound: bool, swapped: bool) -> SecurityAssociation:
    """One direction of a Child SA."""
    child, keys = event.child, event.child.keys
    source, destination = (event.local, event.remote) if outbound else (event.remote, event.local)
    ends = (keys.encryption_out, keys.integrity_out), (keys.encryption_in, keys.integrity_in)
    encryption_key, integrity_key = ends[outbound == swapped]
    return SecurityAssociation(
        spi=child.spi_out if outbound else child.spi_in,
        source=source.host,
        destination=destination.host,
        protocol=child.protocol,
        encryption=child.chosen.of(TransformType.ENCR),
        encryption_key=encryption_key,
        integrity=child.chosen.of(TransformType.INTEG),
        integrity_key=integrity_key,
        udp_ports=(source.port, destination.port) if event.udp_ports else None,
        esn=child.chosen.esn,
        replay_window=window,
        selectors=(Selector(_ranges(child.local_ts), _ranges(child.remote_ts)),),
    )


def _ranges(selectors: Iterable[TrafficSelector]) -> tuple[TrafficRange, ...]:
    return tuple(TrafficRange(ts.start, ts.end, ts.protocol, ts.start_port, ts.end_port) for ts in selectors)
