"""A gateway of ours in a namespace whose ESP and AH the kernel does: endpoint, sockets and XFRM put together."""

import secrets
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_network

from ipsectest.base.addresses import Address
from ipsectest.base.clock import Instant, RandomBytes
from ipsectest.ike.config import ChildConfig, ConnectionConfig, EndpointConfig
from ipsectest.ike.endpoint import Endpoint
from ipsectest.ike.events import ChildInstalled, ChildRekeyed, ChildRemoved, Event, PeerMoved
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import ChildSa, ChildState, IkeSa
from ipsectest.ike.states import State
from ipsectest.net.loop import EventLoop, Machine
from ipsectest.net.socket_wire import SocketWire
from ipsectest.net.udp_driver import UdpDriver
from ipsectest.net.xfrm import Acquire, Lifetimes, Mapping, XfrmError
from ipsectest.net.xfrm_plane import XfrmPlane, selectors

LINGER = 1.0
"""Seconds that a replaced Child SA stays in the kernel: packets are under way when its Delete arrives."""


class KernelGateway:
    """Runs in ``loop`` from the start until ``close``. After verbs of ``endpoint`` call ``flush``.

    The kernel's soft limits rekey a Child SA, its hard ones delete it, and traffic for a trapped Child SA sets it up.
    What the kernel refuses to install is deleted at the peer too and stands in ``refused``.
    Raises LabError or XfrmError where the namespace has no XFRM or its ports are taken.
    """

    def __init__(
        self,
        loop: EventLoop,
        namespace: str | None,
        config: EndpointConfig,
        *,
        limits: Lifetimes | None = None,
        replay_window: int = 64,
        random: RandomBytes = secrets.token_bytes,
        policy: Policy | None = None,
    ) -> None:
        self.loop = loop
        self.endpoint = Endpoint(config, random, policy)
        self.events: list[Event] = []
        self.refused: list[XfrmError] = []
        self.pairs: dict[bytes, tuple[ChildSa, Address, Address]] = {}
        """By inbound SPI: what is in the kernel, with our and the peer's outer address."""
        self._connections = config.connections
        self._removing: list[tuple[Instant, ChildSa]] = []
        self.plane = XfrmPlane(
            namespace,
            on_acquire=self._acquire,
            on_expire=self._expire,
            on_mapping=self._follow,
            limits=limits,
            replay_window=replay_window,
        )
        try:
            self._wire = SocketWire(namespace, protocols=())
            self._wire.leave_esp_to_kernel()
        except Exception:
            self.plane.close()
            raise
        self.driver: UdpDriver[Event] = UdpDriver(self.endpoint, self._wire, self._take)
        self._machines: tuple[Machine, ...] = (self.driver, self.plane, self)
        for machine in self._machines:
            loop.add(machine)

    def initiate(self, connection: ConnectionConfig) -> IkeSa:
        """Start a negotiation."""
        sa = self.endpoint.initiate(connection, self.loop.clock.now())
        self.flush()
        return sa

    def trap(self, connection: ConnectionConfig) -> None:
        """Let the first packet for a Child SA of a connection start the negotiation."""
        for child in connection.children:
            for selector in selectors(child.local_ts, child.remote_ts):
                self.plane.trap(selector, connection.local.host, connection.remote.host, mode=child.mode.value)

    def flush(self) -> None:
        """Send what waits and follow what happened."""
        self.driver.flush(self.loop.clock.now())

    def has(self, kind: type[Event], count: int = 1) -> bool:
        """Whether an event of this kind came, at least so many times."""
        return sum(isinstance(event, kind) for event in self.events) >= count

    def close(self) -> None:
        """Leave the loop; close the sockets and take everything of ours out of the kernel."""
        for machine in self._machines:
            self.loop.remove(machine)
        self._machines = ()
        self._wire.close()
        self.plane.close()

    def handles(self) -> Sequence[int]:
        """None: the machine is there for its timer."""
        return ()

    def readable(self, handle: int, now: Instant) -> None:
        """Not called."""

    def get_timer(self) -> Instant | None:
        """When the next Child SA has lingered long enough."""
        return self._removing[0][0] if self._removing else None

    def handle_timer(self, now: Instant) -> None:
        """Forget Child SAs whose last packets must have arrived."""
        while self._removing and self._removing[0][0] <= now:
            self.plane.remove(self._removing.pop(0)[1])

    def _take(self, event: Event) -> None:
        self.events.append(event)
        now = self.loop.clock.now()
        match event:
            case ChildInstalled():
                self._install(event, now)
            case ChildRekeyed(new=child) if child.spi_in in self.pairs:
                self.plane.switch(child)
            case ChildRemoved(child=child):
                self._remove(child, now)
            case PeerMoved(sa=sa, new=new):
                self._move(sa, new)
            case _:
                pass

    def _install(self, event: ChildInstalled, now: Instant) -> None:
        child = event.child
        # Who answered a rekey goes on sending on the old SA: the initiator may not have the new one yet.
        sends = child.replaces is None or child.is_initiator
        try:
            self.plane.install(child, event.local, event.remote, sends=sends)
        except XfrmError as error:
            self.refused.append(error)
            self.endpoint.delete_child(child, now)
            return
        self.pairs[child.spi_in] = child, event.local, event.remote

    def _remove(self, child: ChildSa, now: Instant) -> None:
        if self.pairs.pop(child.spi_in, None) is None:
            return
        if any(other.replaces is child for other, _, _ in self.pairs.values()):
            self._removing.append((now + LINGER, child))
        else:  # nothing carries this traffic any more, so nothing may go on leaving under the old SA
            self.plane.remove(child)

    def _move(self, sa: IkeSa, new: Address) -> None:
        for child in sa.children.values():
            if child.spi_in in self.pairs:
                _, local, old = self.pairs[child.spi_in]
                remote = new if old.port else Address(new.host)  # plain ESP has no ports
                self.plane.move(child, local, remote)
                self.pairs[child.spi_in] = child, local, remote

    def _acquire(self, acquire: Acquire, now: Instant) -> None:
        for connection in self._connections:
            if (connection.local.host, connection.remote.host) != (acquire.src, acquire.dst):
                continue
            wanted = next((child for child in connection.children if _covers(child, acquire)), None)
            if wanted is None:
                continue
            sa = next((sa for sa in self.endpoint.sessions() if sa.connection is connection), None)
            if sa is None:
                self.endpoint.initiate(connection, now)
            elif sa.state is State.ESTABLISHED:  # else one negotiation is under way; the kernel asks again
                self.endpoint.create_child(sa, wanted, now)
            break
        self.driver.flush(now)

    def _expire(self, spi: bytes, hard: bool, now: Instant) -> None:
        if spi not in self.pairs:
            return
        child = self.pairs[spi][0]
        with suppress(LookupError):  # its IKE SA may end at the same time
            if hard:
                self.endpoint.delete_child(child, now)
            elif child.state is ChildState.INSTALLED:  # else a successor is on its way already
                self.endpoint.rekey_child(child, now)
        self.driver.flush(now)

    def _follow(self, mapping: Mapping, now: Instant) -> None:
        old = Address(mapping.old_src, mapping.old_sport)
        self.endpoint.follow(old, Address(mapping.new_src, mapping.new_sport))
        self.driver.flush(now)


def _covers(child: ChildConfig, acquire: Acquire) -> bool:
    """Whether the flow that asks for an SA lies within what a Child SA would carry."""
    flow = acquire.selector
    return any(
        _within(flow.src, wide.src) and _within(flow.dst, wide.dst) and wide.proto in {0, flow.proto}
        for wide in selectors(child.local_ts, child.remote_ts)
    )


def _within(inner: str, outer: str) -> bool:
    narrow, wide = (ip_network(text, strict=False) for text in (inner, outer))
    return narrow.version == wide.version and narrow.subnet_of(wide)  # type: ignore[arg-type]  # of one version
