"""A gateway of ours in a namespace whose ESP and AH the kernel does: endpoint, sockets and XFRM put together."""

import secrets
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from ipsectest.base.addresses import Address
from ipsectest.base.clock import Instant, RandomBytes
from ipsectest.ike.config import ChildConfig, ConnectionConfig, EndpointConfig
from ipsectest.ike.endpoint import Endpoint
from ipsectest.ike.events import (
    ChildInstalled,
    ChildOffered,
    ChildRekeyed,
    ChildRemoved,
    Event,
    ExchangeFailed,
    IkeClosed,
    OfferEnded,
    PeerMoved,
)
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import ChildSa, ChildState, IkeSa
from ipsectest.ike.states import State
from ipsectest.ike.tasks import CreateChild, Initiate
from ipsectest.net.early_packets import EarlyPackets
from ipsectest.net.loop import EventLoop, Machine
from ipsectest.net.socket_wire import SocketWire
from ipsectest.net.udp_driver import UdpDriver
from ipsectest.net.xfrm import Acquire, Lifetimes, Mapping, XfrmError
from ipsectest.net.xfrm_plane import XfrmPlane, selectors
from ipsectest.runner.acquired import Asked, asked

LINGER = 1.0
"""Seconds that a replaced Child SA stays in the kernel: packets are under way when its Delete arrives."""
KEPT = 10_000
"""Events that are remembered: strangers can cause as many as they like."""
_OURS = frozenset({State.INIT_SENT, State.AUTH_SENT, State.ESTABLISHED, State.REKEYING})
"""States in which an IKE SA will carry a Child SA of ours; a half-open one of the peer may be a stranger's."""


@dataclass(frozen=True, slots=True)
class _Lingering:
    until: Instant
    child: ChildSa
    heir: ChildSa


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
        self.events: deque[Event] = deque(maxlen=KEPT)
        self.refused: deque[XfrmError | ValueError] = deque(maxlen=KEPT)
        """ValueError: an algorithm that Linux does not have."""
        self.pairs: dict[bytes, tuple[ChildSa, Address, Address]] = {}
        """By inbound SPI: what is in the kernel, with our and the peer's outer address."""
        self._connections = config.connections
        self._seen: Counter[type[Event]] = Counter()
        self._lingering: list[_Lingering] = []
        self._asked: list[Asked] = []
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
        self.early = EarlyPackets(namespace)
        self.driver: UdpDriver[Event] = UdpDriver(self.endpoint, self._wire, self._take)
        self._machines: tuple[Machine, ...] = (self.driver, self.plane, self.early, self)
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
        return self._seen[kind] >= count

    def close(self) -> None:
        """Leave the loop; close the sockets and take everything of ours out of the kernel. Twice is fine."""
        if not self._machines:
            return
        for machine in self._machines:
            self.loop.remove(machine)
        self._machines = ()
        self._wire.close()
        self.early.close()
        self.plane.close()

    def handles(self) -> Sequence[int]:
        """None: the machine is there for its timer."""
        return ()

    def readable(self, handle: int, now: Instant) -> None:
        """Not called."""

    def get_timer(self) -> Instant | None:
        """When the next Child SA has lingered long enough."""
        return self._lingering[0].until if self._lingering else None

    def handle_timer(self, now: Instant) -> None:
        """Forget Child SAs whose last packets must have arrived."""
        while self._lingering and self._lingering[0].until <= now:
            self._drop(self._lingering[0].child)

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self._seen[type(event)] += 1
        now = self.loop.clock.now()
        match event:
            case ChildOffered(spi=spi):
                self.early.hold(spi)  # before the request leaves
            case OfferEnded(spi=spi):
                self.early.release(spi, now)
            case ChildInstalled(child=child):
                self._install(event, now)
                self._forget_asked(child.config)
            case ChildRekeyed(new=child) if child.spi_in in self.pairs:
                self._change(child, now, lambda: self.plane.switch(child))
            case ChildRemoved(child=child):
                self._remove(child, now)
            case PeerMoved(sa=sa):
                self._move(sa, now)
            case ExchangeFailed(task=CreateChild(config=config)):
                self._forget_asked(config)
            case ExchangeFailed(task=Initiate(first=ChildConfig() as config)):
                self._forget_asked(config)
            case IkeClosed(sa=sa) if sa.successor is None:
                self._asked = [one for one in self._asked if one.wanted not in sa.connection.children]
            case _:
                pass

    def _install(self, event: ChildInstalled, now: Instant) -> None:
        child, local, remote = event.child, event.local, event.remote
        # Who answered a rekey goes on sending on the old SA: the initiator may not have the new one yet.
        sends = child.replaces is None or child.is_initiator
        seq = next((one.seq for one in self._asked if one.is_for(child.config)), 0)
        if self._change(child, now, lambda: self.plane.install(child, local, remote, sends=sends, seq=seq)):
            self.pairs[child.spi_in] = child, local, remote

    def _change(self, child: ChildSa, now: Instant, change: Callable[[], None]) -> bool:
        """Change a Child SA in the kernel; one that it refuses is deleted at the peer too."""
        try:
            change()
        except (XfrmError, ValueError) as error:
            self.refused.append(error)
            with suppress(LookupError):  # its IKE SA may have ended meanwhile
                self.endpoint.delete_child(child, now)
            return False
        return True

    def _remove(self, child: ChildSa, now: Instant) -> None:
        if self.pairs.pop(child.spi_in, None) is None:
            return
        heir = next((other for other, _, _ in self.pairs.values() if other.replaces is child), None)
        if heir:
            self._lingering.append(_Lingering(now + LINGER, child, heir))
        else:  # nothing carries this traffic any more, so nothing may go on leaving under the old SA
            self._drop(child)

    def _drop(self, child: ChildSa) -> None:
        """Take a Child SA out of the kernel, and what lingers because this one has replaced it."""
        self._lingering = [one for one in self._lingering if one.child is not child]
        for one in [one for one in self._lingering if one.heir is child]:
            self._drop(one.child)
        try:
            self.plane.remove(child)
        except XfrmError as error:
            self.refused.append(error)

    def _move(self, sa: IkeSa, now: Instant) -> None:
        for child in tuple(sa.children.values()):
            pair = self.pairs.get(child.spi_in)
            if pair is None:
                continue
            plain = not pair[2].port  # plain ESP has no ports
            local, remote = (Address(end.host) if plain else end for end in (sa.local, sa.remote))
            if (child, local, remote) == pair:
                continue
            elsewhere = (local.host, remote.host) != (pair[1].host, pair[2].host)
            if elsewhere:  # its inbound SA is away for a moment
                self.early.hold(child.spi_in)
            if self._change(child, now, partial(self.plane.move, child, local, remote)):
                self.pairs[child.spi_in] = child, local, remote
            if elsewhere:
                self.early.release(child.spi_in, now)

    def _acquire(self, acquire: Acquire, now: Instant) -> None:
        for connection in self._connections:
            if (connection.local.host, connection.remote.host) != (acquire.src, acquire.dst):
                continue
            found = asked(connection.children, acquire)
            if found is not None:
                self._set_up(connection, found, now)
                break
        self.driver.flush(now)

    def _set_up(self, connection: ConnectionConfig, found: Asked, now: Instant) -> None:
        """Negotiate a Child SA, once at a time; with the IKE SA if there is none."""
        if any(found.wanted is one.wanted for one in self._asked):
            return
        self._asked.append(found)
        sa = next((sa for sa in self.endpoint.sessions() if sa.connection is connection and sa.state in _OURS), None)
        if sa is None:
            self.endpoint.initiate(connection, now, found.offered)
        else:
            self.endpoint.create_child(sa, found.offered, now)  # waits until the IKE SA is up

    def _forget_asked(self, answered: ChildConfig) -> None:
        self._asked = [one for one in self._asked if not one.is_for(answered)]

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
