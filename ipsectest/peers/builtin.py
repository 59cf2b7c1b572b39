"""Our own endpoint in the peer's place: in memory, without sockets, healthy or with named impairments.

It is one case's peer: `configure` makes a new endpoint. Who carries the datagrams also carries time; verbs
happen at the last instant the peer was told of.
"""

import heapq
from collections.abc import Callable, Iterable
from functools import partial
from ipaddress import ip_address

from ipsectest import __version__
from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant, RandomBytes
from ipsectest.base.errors import PeerError, UnsupportedError
from ipsectest.base.iana import NAT_KEEPALIVE
from ipsectest.ike.endpoint import Endpoint
from ipsectest.ike.events import ChildInstalled, ChildRemoved, Dropped, Event, IkeEstablished
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.ike.states import State
from ipsectest.ipsec.drop import DropReason
from ipsectest.ipsec.gateway import Gateway
from ipsectest.ipsec.inner import Echo, build_echo, parse_echo, reply_to
from ipsectest.ipsec.packets import Unprotected
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.net.data_plane import carries_esp
from ipsectest.peers.builtin_esp import DATA_IMPAIRMENTS, associations
from ipsectest.peers.builtin_settings import endpoint_config
from ipsectest.scenario.ports import Certificates, Counter, PeerRequest, PeerSettings, Verb

_LOG_LINES = 2_000
Due = tuple[Instant, int, Callable[[Instant], None]]


class Builtin:
    """A `scenario.ports.Peer` that is also given its datagrams and its time."""

    name = "builtin"
    version = __version__

    def __init__(
        self, random: RandomBytes, impairments: Iterable[str] = (), certificates: Certificates | None = None
    ) -> None:
        """``impairments`` are names of ``ike.impair.IMPAIRMENTS`` or `DATA_IMPAIRMENTS`; UsageError for others."""
        names = set(impairments)
        self._random = random
        self._data_impairments = names & DATA_IMPAIRMENTS
        self._ike_impairments = names - DATA_IMPAIRMENTS
        self._certificates = certificates
        self._now: Instant = 0.0
        self._endpoint: Endpoint | None = None
        self._gateway = Gateway()
        self._due: list[Due] = []
        self._out: list[Datagram] = []
        self._log: list[str] = []
        self._count = 0

    # scenario.ports.Peer

    def configure(self, settings: PeerSettings) -> None:
        """Start over as the peer of this case; UnsupportedError names what our endpoint lacks."""
        config = endpoint_config(settings, self._certificates)
        self._settings = settings
        self._connection = config.connections[0]
        self._endpoint = Endpoint(config, self._random, impairments=self._ike_impairments)
        self._gateway = Gateway()
        self._pairs: dict[bytes, tuple[SecurityAssociation, SecurityAssociation]] = {}
        self._due.clear()
        self._log.clear()

    def perform(self, request: PeerRequest) -> int | None:
        """Carry out a verb; every one there is."""
        endpoint, now = self._running(), self._now
        match request.verb:
            case Verb.INITIATE:
                endpoint.initiate(self._connection, now)
            case Verb.CREATE:
                endpoint.create_child(self._ike_sa(request), self._connection.children[0], now)
            case Verb.REKEY_IKE:
                endpoint.rekey_ike(self._ike_sa(request), now)
            case Verb.DELETE_IKE:
                endpoint.delete_ike(self._ike_sa(request), now)
            case Verb.LIVENESS:
                endpoint.liveness(self._ike_sa(request), now)
            case Verb.REKEY_CHILD:
                endpoint.rekey_child(self._child_sa(request), now)
            case Verb.DELETE_CHILD:
                endpoint.delete_child(self._child_sa(request), now)
            case Verb.PING:
                self._ping()
            case Verb.COUNTER:
                return self._counter(request.counter)
        self._listen()
        return None

    def forget(self, settings: PeerSettings) -> None:
        """Let go of everything, silently."""
        del settings
        self._endpoint = None
        self._due.clear()

    def log(self, settings: PeerSettings) -> str:
        """Every event of the endpoint, a line each."""
        del settings
        return "".join(f"{line}\n" for line in self._log)

    def crash(self) -> str | None:
        """It cannot: an exception of ours ends the run."""
        return None

    # In and out

    def receive(self, datagram: Datagram, now: Instant) -> None:
        """Take a datagram of the tester."""
        self._now = now
        if self._endpoint is None:
            return
        if carries_esp(datagram):
            self._receive_esp(datagram)
            return
        self._endpoint.receive_datagram(datagram.data, datagram.source, datagram.destination, now)
        self._listen()

    def datagrams_to_send(self, now: Instant) -> list[Datagram]:
        """What goes out now."""
        self._now = now
        out, self._out = self._out, []
        return out + (self._endpoint.datagrams_to_send(now) if self._endpoint else [])

    def get_timer(self) -> Instant | None:
        """The endpoint's deadline or the next lifetime."""
        if self._endpoint is None:
            return None
        timers = [self._endpoint.get_timer(), self._due[0][0] if self._due else None]
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Do what is due."""
        self._now = now
        if self._endpoint is None:
            return
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2](now)
        self._endpoint.handle_timer(now)
        self._listen()

    # Events

    def _listen(self) -> None:
        while self._endpoint and (event := self._endpoint.next_event()):
            if len(self._log) < _LOG_LINES:
                self._log.append(f"{self._now:9.3f} {_told(event)}")
            if isinstance(event, ChildInstalled):
                self._install(event)
            elif isinstance(event, ChildRemoved):
                self._remove(event.child)
            elif isinstance(event, IkeEstablished) and self._settings.ike_lifetime:
                self._later(self._settings.ike_lifetime, partial(self._endpoint.rekey_ike, event.sa))

    def _install(self, event: ChildInstalled) -> None:
        window = 64 if self._settings.replay_window is None else self._settings.replay_window
        pair = associations(event, window, self._data_impairments)
        self._pairs[event.child.spi_in] = pair
        self._gateway.add(inbound=pair[0], outbound=pair[1])
        if self._settings.child_lifetime:
            self._later(self._settings.child_lifetime, partial(self._running().rekey_child, event.child))

    def _remove(self, child: ChildSa) -> None:
        inbound, outbound = self._pairs.pop(child.spi_in, (None, None))
        self._gateway.remove(inbound=inbound, outbound=outbound)

    def _later(self, delay: float, act: Callable[[Instant], None]) -> None:
        """Do it then, unless the SA is gone."""

        def tolerant(now: Instant) -> None:
            try:
                act(now)
            except LookupError:
                return

        self._count += 1
        heapq.heappush(self._due, (self._now + delay, self._count, tolerant))

    # Data

    def _receive_esp(self, datagram: Datagram) -> None:
        if datagram.data == NAT_KEEPALIVE:
            if "answers-keepalive" in self._data_impairments:
                self._out.append(Datagram(datagram.data, datagram.destination, datagram.source))
            return
        opened = self._gateway.inbound(datagram)
        echo = parse_echo(opened.inner) if isinstance(opened, Unprotected) else None
        if echo and not echo.is_reply and ip_address(echo.destination) == ip_address(self._settings.inner_local):
            self._send_inner(build_echo(reply_to(echo)))

    def _ping(self) -> None:
        self._count += 1
        ours, theirs = self._settings.inner_local, self._settings.inner_remote
        self._send_inner(build_echo(Echo(ours, theirs, 1, self._count, b"ipsectest ping", is_reply=False)))

    def _send_inner(self, packet: bytes) -> None:
        sealed = self._gateway.seal(packet, self._random)
        if sealed:
            self._out.append(sealed)

    # Looking things up

    def _running(self) -> Endpoint:
        if self._endpoint is None:
            raise PeerError("the built-in peer is not configured")
        return self._endpoint

    def _ike_sa(self, request: PeerRequest) -> IkeSa:
        wanted = request.ike_spi or request.spi
        for sa in reversed(self._running().sessions()):
            if sa.state is State.ESTABLISHED and wanted in {b"", sa.spi_local}:
                return sa
        raise PeerError(f"no IKE SA with SPI {wanted.hex() or 'at all'} is established")

    def _child_sa(self, request: PeerRequest) -> ChildSa:
        children = [child for sa in self._running().sessions() for child in sa.children.values()]
        for child in reversed(children):
            if request.spi in {b"", child.spi_in}:
                return child
        raise PeerError(f"no Child SA with inbound SPI {request.spi.hex() or 'at all'} is installed")

    def _counter(self, counter: Counter | None) -> int:
        endpoint = self._running()
        match counter:
            case Counter.REPLAY:
                return self._drops(DropReason.REPLAYED)
            case Counter.INTEGRITY:
                return self._drops(DropReason.BAD_ICV)
            case Counter.IKE_SAS:
                return sum(sa.state is State.ESTABLISHED for sa in endpoint.sessions())
            case Counter.HALF_OPEN:
                return len(endpoint.half_open)
            case Counter.CHILD_SAS:
                return len(self._pairs)
        raise UnsupportedError(f"peer counter {counter}")

    def _drops(self, reason: DropReason) -> int:
        return sum(inbound.drops[reason] for inbound, _ in self._pairs.values())


def _told(event: Event) -> str:
    if isinstance(event, Dropped):
        return f"dropped {len(event.data)} octets from {event.source}: {event.drop.reason} {event.drop.text}".rstrip()
    words = [type(event).__name__]
    words += [f"{name} {getattr(event, name)}" for name in ("reason", "local", "remote") if hasattr(event, name)]
    child = getattr(event, "child", None)
    words += [f"SPI {child.spi_in.hex()}/{child.spi_out.hex()}"] if isinstance(child, ChildSa) else []
    return ", ".join(words)
