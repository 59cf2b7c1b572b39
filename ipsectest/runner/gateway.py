"""A gateway of ours in a namespace: endpoint, sockets, user-space ESP and a TUN device put together."""

import secrets
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from ipsectest.base.addresses import Address
from ipsectest.base.clock import Instant, RandomBytes
from ipsectest.base.errors import LabError
from ipsectest.base.iana import TransformType
from ipsectest.ike.config import ConnectionConfig, EndpointConfig
from ipsectest.ike.endpoint import Endpoint
from ipsectest.ike.events import (
    ChildInstalled,
    ChildOffered,
    ChildRekeyed,
    ChildRemoved,
    Event,
    OfferEnded,
    PeerMoved,
)
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.ipsec.gateway import Gateway
from ipsectest.ipsec.sa import Mode, SecurityAssociation
from ipsectest.ipsec.spd import Selector, TrafficRange
from ipsectest.net.data_plane import UserDataPlane
from ipsectest.net.loop import EventLoop, Machine
from ipsectest.net.marked_routes import MarkedRoutes
from ipsectest.net.socket_wire import SocketWire
from ipsectest.net.tun import TunDevice
from ipsectest.net.udp_driver import UdpDriver
from ipsectest.wire import TrafficSelector

LINGER = 1.0
"""Seconds that packets are still taken on a Child SA that was removed: some are under way when its Delete arrives."""

_MARK = 0x1953
"""Of what our sockets send in transport mode; the number of the routing table too."""

Pair = tuple[SecurityAssociation, SecurityAssociation]


def one_way(event: ChildInstalled, *, outbound: bool) -> SecurityAssociation:
    """One direction of a Child SA that an endpoint negotiated, for the user-space engine."""
    child, keys = event.child, event.child.keys
    source, destination = (event.local, event.remote) if outbound else (event.remote, event.local)
    return SecurityAssociation(
        spi=child.spi_out if outbound else child.spi_in,
        source=source.host,
        destination=destination.host,
        protocol=child.protocol,
        encryption=child.chosen.of(TransformType.ENCR),
        encryption_key=keys.encryption_out if outbound else keys.encryption_in,
        integrity=child.chosen.of(TransformType.INTEG),
        integrity_key=keys.integrity_out if outbound else keys.integrity_in,
        mode=Mode(child.mode.value),
        udp_ports=(source.port, destination.port) if event.udp_ports else None,
        esn=child.chosen.esn,
        selectors=_selectors(child),
        real_addresses=(child.real.remote, child.real.local) if child.real and not outbound else None,
        may_move=not outbound and event.sa.remote_behind_nat and not event.sa.local_behind_nat,
    )


class ChildSas:
    """The Child SAs of an endpoint in a `Gateway`, switched over without losing a packet; a machine for its timer.

    ``pairs`` maps the inbound SPI of each to its (outbound, inbound) SAs.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.pairs: dict[bytes, Pair] = {}
        self._lingering: list[tuple[Instant, SecurityAssociation]] = []

    def take(self, event: Event, now: Instant) -> None:
        """Do what an event of the endpoint asks for."""
        match event:
            case ChildInstalled(child=child):
                pair = one_way(event, outbound=True), one_way(event, outbound=False)
                self.pairs[child.spi_in] = pair
                self.gateway.add(inbound=pair[1])
                # Who answered a rekey goes on sending on the old SA: the initiator may not have the new one yet.
                if child.replaces is None or child.is_initiator:
                    self._send_on(child)
            case ChildRekeyed(new=child):
                self._send_on(child)
            case ChildRemoved(child=child):
                self._remove(child, now)
            case PeerMoved(sa=sa, old=old, new=new):
                self._reselect(sa)
                self.gateway.move(old, new)
            case _:
                pass

    def _reselect(self, sa: IkeSa) -> None:
        """In transport mode selectors are for what can be seen of the peer (RFC 7296 section 2.23.1)."""
        for child in sa.children.values():
            if child.real and child.spi_in in self.pairs:
                for one in self.pairs[child.spi_in]:
                    one.selectors = _selectors(child)

    def _send_on(self, child: ChildSa) -> None:
        outbound = self.pairs[child.spi_in][0]
        if outbound not in self.gateway.tunnels():
            self.gateway.add(outbound=outbound)

    def _remove(self, child: ChildSa, now: Instant) -> None:
        outbound, inbound = self.pairs.pop(child.spi_in)
        self.gateway.remove(outbound=outbound)
        self._lingering.append((now + LINGER, inbound))

    def handles(self) -> Sequence[int]:
        """None."""
        return ()

    def readable(self, handle: int, now: Instant) -> None:
        """Not called."""

    def get_timer(self) -> Instant | None:
        """When the next SA has lingered long enough."""
        return self._lingering[0][0] if self._lingering else None

    def handle_timer(self, now: Instant) -> None:
        """Forget SAs whose last packets must have arrived."""
        while self._lingering and self._lingering[0][0] <= now:
            self.gateway.remove(inbound=self._lingering.pop(0)[1])


class TunnelGateway:
    """Runs in ``loop`` from the start until ``close``.

    ``addresses`` are given to the TUN device, ``routes`` are the prefixes that it leads to: what lies beyond the
    tunnels, or with ``transport`` the peers themselves. ``events`` keeps what the endpoint told, oldest first. After
    verbs of ``endpoint`` call ``flush``. Raises LabError for what the namespace has not.
    """

    def __init__(
        self,
        loop: EventLoop,
        namespace: str | None,
        config: EndpointConfig,
        *,
        addresses: Iterable[str] = (),
        routes: Iterable[str] = (),
        transport: bool = False,
        mtu: int = 1400,
        random: RandomBytes = secrets.token_bytes,
        policy: Policy | None = None,
    ) -> None:
        self.loop = loop
        self.endpoint = Endpoint(config, random, policy)
        self.gateway = Gateway(on_move=self._follow)
        self.children = ChildSas(self.gateway)
        self.events: list[Event] = []
        self._stack = ExitStack()
        self._marked: MarkedRoutes | None = None
        with ExitStack() as stack:
            led = () if transport else routes
            tun = stack.enter_context(TunDevice("esp0", namespace, addresses=addresses, routes=led, mtu=mtu))
            if transport and namespace is None:
                raise LabError("transport mode in user space changes routes, so it takes a namespace of its own")
            if transport and namespace:
                self._marked = MarkedRoutes(namespace, "esp0", _MARK, routes, config.addresses)
                stack.callback(self._marked.close)
            wire = SocketWire(namespace, mark=_MARK if transport else 0)
            stack.callback(wire.close)
            self._stack = stack.pop_all()
        self.plane = UserDataPlane(self.gateway, tun, wire, random)
        self.driver: UdpDriver[Event] = UdpDriver(self.endpoint, wire, self._take, self.plane)
        self._machines: tuple[Machine, ...] = (self.driver, self.plane, self.children)
        for machine in self._machines:
            loop.add(machine)

    def initiate(self, connection: ConnectionConfig) -> IkeSa:
        """Start a negotiation."""
        sa = self.endpoint.initiate(connection, self.loop.clock.now())
        self.flush()
        return sa

    def flush(self) -> None:
        """Send what waits and follow what happened."""
        self.driver.flush(self.loop.clock.now())

    def has(self, kind: type[Event], count: int = 1) -> bool:
        """Whether an event of this kind came, at least so many times."""
        return sum(isinstance(event, kind) for event in self.events) >= count

    def close(self) -> None:
        """Leave the loop and remove sockets and device."""
        for machine in self._machines:
            self.loop.remove(machine)
        self._machines = ()
        self._stack.close()

    def _follow(self, old: Address, new: Address) -> None:
        self.endpoint.follow(old, new)
        self.flush()  # its selectors and routes are for what comes next

    def _take(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, PeerMoved) and self._marked:
            self._marked.lead(event.new.host)  # before the first packet is let in, whose answer would leave in clear
        self.children.take(event, self.loop.clock.now())
        match event:
            case ChildOffered(spi=spi):
                self.plane.hold(spi)  # before the request leaves
            case OfferEnded(spi=spi):
                self.plane.release(spi)
            case _:
                pass


def _selectors(child: ChildSa) -> tuple[Selector, ...]:
    return (Selector(_ranges(child.local_ts), _ranges(child.remote_ts)),)


def _ranges(selectors: Iterable[TrafficSelector]) -> tuple[TrafficRange, ...]:
    return tuple(TrafficRange(ts.start, ts.end, ts.protocol, ts.start_port, ts.end_port) for ts in selectors)
