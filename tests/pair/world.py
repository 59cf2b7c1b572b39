"""Two endpoints and the network between them, in virtual time."""

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import count

from ipsectest.base.addresses import Address, Datagram
from ipsectest.ike.config import ChildConfig, ConnectionConfig, EndpointConfig, Identity, SharedKey
from ipsectest.ike.endpoint import Endpoint
from ipsectest.ike.events import (
    ChildInstalled,
    ChildOffered,
    ChildRemoved,
    Dropped,
    Event,
    IkeClosed,
    IkeEstablished,
    OfferEnded,
)
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.ike.states import State
from ipsectest.wire import TrafficSelector

ALICE, BOB = Address("192.0.2.1", 500), Address("192.0.2.2", 500)
NETS = TrafficSelector.of("198.51.100.0/24"), TrafficSelector.of("203.0.113.0/24")
PSK = SharedKey(b"a secret only for tests")
LATENCY = 0.01


def connection(*, at_alice: bool, child: dict[str, object] | None = None, **changes: object) -> ConnectionConfig:
    """One end of the connection between alice and bob."""
    order = slice(None, None, 1 if at_alice else -1)
    (local, remote), (ours, theirs) = (
        (ALICE, BOB)[order],
        (Identity.of("alice.example"), Identity.of("bob.example"))[order],
    )
    local_ts, remote_ts = [(net,) for net in NETS[order]]
    settings = {"local_ts": local_ts, "remote_ts": remote_ts, **(child or {})}
    base = ConnectionConfig("test", local, remote, ours, theirs, PSK, PSK, (ChildConfig("net", **settings),))
    return replace(base, **changes)


@dataclass
class End:
    """An endpoint with everything it reported."""

    endpoint: Endpoint
    connection: ConnectionConfig
    events: list[Event] = field(default_factory=list)

    def ike(self) -> IkeSa:
        """The one IKE SA that is up and not replaced."""
        (sa,) = [sa for sa in self.endpoint.sessions() if sa.state is State.ESTABLISHED]
        return sa

    def children(self) -> list[ChildSa]:
        """Child SAs of the newest IKE SA."""
        return list(self.ike().children.values())

    def timer(self) -> float | None:
        """When the endpoint wants to be called: the earliest that any of its sessions wants."""
        timer = self.endpoint.get_timer()
        deadlines = [session.deadline() for session in self.endpoint._sessions.values()]
        assert timer == min((time for time in deadlines if time is not None), default=None)
        return timer

    def seen(self, kind: type[Event]) -> list[Event]:
        """Events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def installed(self) -> dict[bytes, ChildSa]:
        """What a data plane that follows the events would have."""
        children: dict[bytes, ChildSa] = {}
        for event in self.events:
            if isinstance(event, ChildInstalled):
                children[event.child.spi_in] = event.child
            elif isinstance(event, ChildRemoved):
                children.pop(event.child.spi_in, None)
        return children

    def offered(self) -> set[bytes]:
        """SPIs for which early packets would be kept; each Child SA that we asked for comes while its SPI is."""
        spis: set[bytes] = set()
        for event in self.events:
            if isinstance(event, ChildOffered):
                assert event.spi not in spis
                spis.add(event.spi)
            elif isinstance(event, OfferEnded):
                spis.remove(event.spi)
            elif isinstance(event, ChildInstalled) and event.child.is_initiator:
                assert event.child.spi_in in spis
        return spis


class World:
    """Carries datagrams and time between alice and bob; ``route`` decides when each one arrives, if at all."""

    def __init__(
        self,
        seed: int = 0,
        *,
        alice: ConnectionConfig | None = None,
        bob: ConnectionConfig | None = None,
        policies: tuple[Policy, Policy] | None = None,
        impairments: tuple[Iterable[str], Iterable[str]] = ((), ()),
        **config: object,
    ) -> None:
        self.now = 0.0
        self.dice = random.Random(seed)
        self.route: Callable[[Datagram], list[float]] = lambda _: [LATENCY]
        self.held: list[Datagram] | None = None
        """When a list: sent datagrams wait here."""
        self.sent: list[Datagram] = []
        self._flying: list[tuple[float, int, Datagram]] = []
        self._number = count()
        self.alice, self.bob = (
            self._end(one, policy, faults, config)
            for one, policy, faults in zip(
                (alice or connection(at_alice=True), bob or connection(at_alice=False)),
                policies or (Policy(), Policy()),
                impairments,
                strict=True,
            )
        )
        self.ends = {end.connection.local.host: end for end in (self.alice, self.bob)}

    def _end(self, one: ConnectionConfig, policy: Policy, faults: Iterable[str], config: dict[str, object]) -> End:
        settings = EndpointConfig((one.local.host,), (one,), **config)
        return End(Endpoint(settings, random.Random(self.dice.random()).randbytes, policy, faults), one)

    def collect(self) -> None:
        """Take what the endpoints want to send and tell."""
        for end in (self.alice, self.bob):
            for datagram in end.endpoint.datagrams_to_send(self.now):
                self.sent.append(datagram)
                if self.held is not None:
                    self.held.append(datagram)
                    continue
                for delay in self.route(datagram):
                    self.fly(datagram, delay)
            while (event := end.endpoint.next_event()) is not None:
                end.events.append(event)

    def fly(self, datagram: Datagram, delay: float = 0.0) -> None:
        """Deliver a datagram later."""
        heapq.heappush(self._flying, (self.now + delay, next(self._number), datagram))

    def deliver(self, datagram: Datagram) -> None:
        """Deliver a datagram now."""
        end = self.ends[datagram.destination.host]
        end.endpoint.receive_datagram(datagram.data, datagram.source, datagram.destination, self.now)
        self.collect()

    def step(self, until: float) -> bool:
        """Go to the next thing that happens; False if nothing does before ``until``."""
        self.collect()
        times = [t for end in self.ends.values() if (t := end.timer()) is not None]
        times += [self._flying[0][0]] if self._flying else []
        if not times or min(times) > until:
            self.now = max(self.now, until)
            return False
        self.now = max(self.now, min(times))
        while self._flying and self._flying[0][0] <= self.now:
            self.deliver(heapq.heappop(self._flying)[2])
        for end in self.ends.values():
            timer = end.endpoint.get_timer()
            if timer is not None and timer <= self.now:
                end.endpoint.handle_timer(self.now)
        self.collect()
        return True

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        steps = 0
        while self.step(until):
            steps += 1
            assert steps < 100_000, "time does not pass"

    def settle(self) -> None:
        """Deliver what flies and what follows from it, without letting a timer run out."""
        self.collect()
        while self._flying:
            self.now = max(self.now, self._flying[0][0])
            self.deliver(heapq.heappop(self._flying)[2])

    def hold(self) -> list[Datagram]:
        """From now on sent datagrams wait in the list returned."""
        self.collect()
        self.held = []
        return self.held

    def release(self) -> None:
        """Let everything flow again, held datagrams first."""
        held, self.held = self.held or [], None
        for datagram in held:
            self.fly(datagram)
        self.settle()

    def establish(self) -> IkeSa:
        """A complete handshake started by alice."""
        sa = self.alice.endpoint.initiate(self.alice.connection, self.now)
        self.settle()
        assert self.alice.seen(IkeEstablished), self.alice.events
        assert self.bob.seen(IkeEstablished), self.bob.events
        return sa

    def agree(self) -> None:
        """Both ends have the same SAs, and their data planes too."""
        alice, bob = self.alice.endpoint.sessions(), self.bob.endpoint.sessions()
        assert {(s.spi_i, s.spi_r) for s in alice} == {(s.spi_i, s.spi_r) for s in bob}
        assert {s.state for s in (*alice, *bob)} <= {State.ESTABLISHED}
        ours, theirs = self.alice.installed(), self.bob.installed()
        assert {(c.spi_in, c.spi_out) for c in ours.values()} == {(c.spi_out, c.spi_in) for c in theirs.values()}
        for child in ours.values():
            pair = theirs[child.spi_out]
            assert child.keys.encryption_in == pair.keys.encryption_out
            assert child.keys.encryption_out == pair.keys.encryption_in
        tracked = {spi for sa in alice for spi in sa.children}
        assert tracked == set(ours)
        assert not self.alice.offered() | self.bob.offered()

    def drops(self) -> list[str]:
        """Reasons for drops at both ends."""
        return [e.drop.reason for end in self.ends.values() for e in end.events if isinstance(e, Dropped)]

    def closed(self) -> bool:
        """Whether both ends gave up with a reason."""
        ends = (self.alice, self.bob)
        assert not any(end.offered() for end in ends if not end.endpoint.sessions())
        return all(not end.endpoint.sessions() and all(e.reason for e in end.seen(IkeClosed)) for end in ends)
