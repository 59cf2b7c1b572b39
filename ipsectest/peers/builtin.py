"""Our own endpoint as a peer: in memory, sans-IO, healthy or with named faults.

It is what every scenario is proven against: all cases pass when it is healthy, and each case fails under the
impairments it names.
"""

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

import ipsectest
from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant, RandomBytes
from ipsectest.base.errors import PeerError, UnsupportedError
from ipsectest.base.iana import NAT_KEEPALIVE
from ipsectest.ike.endpoint import Endpoint
from ipsectest.ike.events import (
    ChildInstalled,
    ChildRekeyed,
    ChildRemoved,
    Dropped,
    Event,
    IkeClosed,
    IkeEstablished,
    PeerMoved,
)
from ipsectest.ike.impair import impaired
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.ike.states import State
from ipsectest.ipsec.drop import DropReason
from ipsectest.ipsec.impair import IMPAIRMENTS as ESP_IMPAIRMENTS
from ipsectest.peers.builtin_settings import Encapsulating, child, endpoint_config, triggered
from ipsectest.peers.builtin_tunnels import Tunnels, carries_esp, is_clear
from ipsectest.scenario.ports import Certificates, Counter, PeerRequest, PeerSettings, Verb
from ipsectest.wire.ip import UDP

_WINDOW = 64
_CLEAR = 0
_KEEPALIVE = 20.0
"""Seconds between two NAT keepalives."""
_PATIENCE = 1.0
"""Seconds that a verb waits for the SA it speaks of."""
_REPLAYED = (DropReason.REPLAYED, DropReason.LEFT_OF_WINDOW)
_UP = (State.ESTABLISHED, State.REKEYING)
_HALF_OPEN = (State.INIT_SENT, State.AUTH_SENT, State.INIT_ANSWERED)


class Builtin:
    """A peer without sockets and clock: datagrams and time are carried to it.

    ``impairments`` are names of ``ike.impair`` or ``ipsec.impair``; UsageError for another one.
    """

    name = "builtin"

    def __init__(
        self, random: RandomBytes, impairments: Iterable[str] = (), certificates: Certificates | None = None
    ) -> None:
        self.version = ipsectest.__version__
        self._random = random
        self._impairments = frozenset(impairments)
        impaired(Policy(), _of_ike(self._impairments))  # an unknown name is told now
        self._certificates = certificates
        self._nodes: dict[str, _Node] = {}

    # What the runner carries

    def receive(self, datagram: Datagram, now: Instant) -> None:
        """Take a datagram of a tester."""
        node = self._node_for(datagram)
        if node:
            node.receive(datagram, now)

    def datagrams_to_send(self, now: Instant) -> list[Datagram]:
        """What all connections have to send; verbs asked for since the last call are carried out first."""
        return [datagram for node in self._nodes.values() for datagram in node.datagrams_to_send(now)]

    def get_timer(self) -> Instant | None:
        """When `handle_timer` is due."""
        timers = (node.get_timer() for node in self._nodes.values())
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Do what is due."""
        for node in self._nodes.values():
            node.handle_timer(now)

    # scenario.ports.Peer

    def configure(self, settings: PeerSettings) -> None:
        """Make an endpoint for the case."""
        self._nodes[settings.name] = _Node(settings, self._random, self._impairments, self._certificates)

    def perform(self, request: PeerRequest) -> int | None:
        """Carry a verb out: at the next `datagrams_to_send`, which knows the time; counters are read at once."""
        node = self._nodes.get(request.settings.name)
        if node is None:
            raise PeerError("the case is not configured")
        return node.perform(request)

    def forget(self, settings: PeerSettings) -> None:
        """Drop the endpoint of the case with all it knows."""
        self._nodes.pop(settings.name, None)

    def log(self, settings: PeerSettings) -> str:
        """One line for each event of the endpoint."""
        node = self._nodes.get(settings.name)
        return "".join(f"{line}\n" for line in node.lines) if node else ""

    def crash(self) -> str | None:
        """An endpoint in memory cannot die alone."""
        return None

    def _node_for(self, datagram: Datagram) -> "_Node | None":
        """By the tester's address; one that moved is recognised where there is no other case."""
        nodes = list(self._nodes.values())
        known = [node for node in nodes if datagram.source.host in node.hosts]
        return next(iter(known or (nodes if len(nodes) == 1 else [])), None)


class _Node:
    """The endpoint of one case, its tunnels, and what it was asked to do."""

    def __init__(
        self,
        settings: PeerSettings,
        random: RandomBytes,
        impairments: frozenset[str],
        certificates: Certificates | None,
    ) -> None:
        self.settings = settings
        self.lines: deque[str] = deque(maxlen=2000)
        config = endpoint_config(settings, certificates)
        if "takes-keepalives-for-life" in impairments:
            config = replace(config, liveness_interval=None)
        self._connection = config.connections[0]
        policy = Encapsulating() if settings.force_encapsulation else None
        self._endpoint = Endpoint(config, random, policy, _of_ike(impairments))
        window = _WINDOW if settings.replay_window is None else settings.replay_window
        faults = impairments & ESP_IMPAIRMENTS.keys()
        self._faults = faults
        self._tunnels = Tunnels(random, settings, window, settings.behind, faults)
        self._children: dict[ChildSa, IkeSa] = {}
        self._asked: dict[PeerRequest, Instant | None] = {}
        self._outbox: list[Datagram] = []
        self._keepalive_due: Instant | None = None
        self._due: list[tuple[Instant, IkeSa | ChildSa]] = []

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where datagrams of its tester come from."""
        return (self.settings.remote.host, self.settings.inner_remote, self.settings.behind)

    def receive(self, datagram: Datagram, now: Instant) -> None:
        if is_clear(datagram):
            self._outbox += self._tunnels.receive(replace(datagram, protocol=_CLEAR))
            return
        for_tunnels = carries_esp(datagram)
        if for_tunnels:
            self._outbox += self._tunnels.receive(datagram)
        # What has no marker and no SPI of ours is dropped by the endpoint, under a name.
        if not for_tunnels or (datagram.protocol == UDP and not self._tunnels.knows(datagram.data[:4])):
            self._endpoint.receive_datagram(datagram.data, datagram.source, datagram.destination, now)
        self._take_events(now)

    def datagrams_to_send(self, now: Instant) -> list[Datagram]:
        self._start_what_can_start(now)
        self._serve_traffic(now)
        self._take_events(now)
        outbox, self._outbox = self._outbox, []
        return [*self._endpoint.datagrams_to_send(now), *outbox]

    def get_timer(self) -> Instant | None:
        timers = [self._endpoint.get_timer(), self._keepalive_due, *(when for when, _ in self._due)]
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, now: Instant) -> None:
        due = [what for when, what in self._due if when <= now]
        self._due = [(when, what) for when, what in self._due if when > now]
        for what in due:
            self._rekey(what, now)
        if self._keepalive_due is not None and self._keepalive_due <= now:
            self._keep_alive(now)
        self._endpoint.handle_timer(now)
        self._take_events(now)

    def _keep_alive(self, now: Instant) -> None:
        """RFC 3948 section 4: from behind a NAT, while there is an SA."""
        sas = [sa for sa in self._endpoint.sessions() if sa.state in _UP and sa.local_behind_nat]
        self._keepalive_due = now + _KEEPALIVE if sas else None
        self._outbox += [Datagram(NAT_KEEPALIVE, sa.local, sa.remote) for sa in sas]

    def perform(self, request: PeerRequest) -> int | None:
        """Refuse now what can never be done; the rest waits for the time to be known, and for the SA it speaks of."""
        match request.verb:
            case Verb.COUNTER:
                return self._count(request.counter)
            case Verb.PING:
                settings = self.settings
                self._outbox += self._tunnels.ping(settings.inner_local, settings.inner_remote)
            case Verb.SEND if request.packet:
                self._outbox += self._tunnels.send(request.packet)
            case _ if request.verb in _STARTERS:
                self._asked[request] = None
            case _:
                raise UnsupportedError(f"peer {request.verb}", "the built-in peer has no such verb")
        return None

    def _start_what_can_start(self, now: Instant) -> None:
        """The script may ask for a rekey while the message that completes the SA is still under way to us."""
        for request, patience in list(self._asked.items()):
            try:
                _STARTERS[request.verb](self, request, now)
            except LookupError as error:
                if patience is None:
                    self._asked[request] = now + _PATIENCE
                    continue
                if now < patience:
                    continue
                self.lines.append(f"{now:.3f} peer {request.verb}: {error}")
            del self._asked[request]

    def _serve_traffic(self, now: Instant) -> None:
        """Traffic asks for Child SAs, wears them out, and shows where the tester is."""
        while self._tunnels.moved:
            self._endpoint.follow(*self._tunnels.moved.popleft())
        if self._tunnels.acquired:
            flow = self._tunnels.acquired[0]
            self._tunnels.acquired.clear()
            if not any(sa.state is not State.CLOSED for sa in self._endpoint.sessions()):
                hidden = "trap-hides-the-packet" in self._faults
                wanted = None if hidden else triggered(self._connection.children[0], flow)
                self._endpoint.initiate(self._connection, now, wanted)
        for worn in self._tunnels.worn(self._children):
            self._end_or_rekey(worn, now)

    def _end_or_rekey(self, worn: ChildSa, now: Instant) -> None:
        with suppress(LookupError):  # closed before its time
            if self.settings.child_expires:
                self._endpoint.delete_child(worn, now)
            else:
                self._endpoint.rekey_child(worn, now)

    def initiate(self, _request: PeerRequest, now: Instant) -> None:
        self._endpoint.initiate(self._connection, now)

    def create(self, request: PeerRequest, now: Instant) -> None:
        self._endpoint.create_child(self._ike_sa(request), child(self.settings), now)

    def rekey_ike(self, request: PeerRequest, now: Instant) -> None:
        self._endpoint.rekey_ike(self._ike_sa(request), now)

    def rekey_child(self, request: PeerRequest, now: Instant) -> None:
        self._endpoint.rekey_child(self._child_sa(request), now)

    def delete_ike(self, request: PeerRequest, now: Instant) -> None:
        self._endpoint.delete_ike(self._ike_sa(request), now)

    def delete_child(self, request: PeerRequest, now: Instant) -> None:
        self._endpoint.delete_child(self._child_sa(request), now)

    def liveness(self, request: PeerRequest, now: Instant) -> None:
        self._endpoint.liveness(self._ike_sa(request), now)

    def _count(self, counter: Counter | None) -> int:
        sas = self._endpoint.sessions()
        match counter:
            case Counter.REPLAY:
                return self._tunnels.dropped(_REPLAYED)
            case Counter.INTEGRITY:
                return self._tunnels.dropped((DropReason.BAD_ICV,))
            case Counter.IKE_SAS:
                return sum(sa.state in _UP for sa in sas)
            case Counter.HALF_OPEN:
                return sum(sa.state in _HALF_OPEN for sa in sas)
            case Counter.CHILD_SAS:
                return len(self._children)
            case _:
                raise UnsupportedError(f"peer counter {counter}")

    def _ike_sa(self, request: PeerRequest) -> IkeSa:
        wanted = request.ike_spi or request.spi
        found = [sa for sa in self._endpoint.sessions() if sa.state in _UP and wanted in {b"", sa.spi_local}]
        if not found:
            raise LookupError(f"no IKE SA with SPI {wanted.hex() or 'at all'}")
        return found[-1]

    def _child_sa(self, request: PeerRequest) -> ChildSa:
        found = [child for child in self._children if request.spi in {b"", child.spi_in}]
        if not found:
            raise LookupError(f"no Child SA with inbound SPI {request.spi.hex() or 'at all'}")
        return found[-1]

    def _rekey(self, what: IkeSa | ChildSa, now: Instant) -> None:
        if isinstance(what, ChildSa):
            self._end_or_rekey(what, now)
            return
        with suppress(LookupError):  # closed before its time
            self._endpoint.rekey_ike(what, now)

    def _take_events(self, now: Instant) -> None:
        while (event := self._endpoint.next_event()) is not None:
            self.lines.append(f"{now:.3f} {event_line(event)}")
            self._follow(event, now)

    def _follow(self, event: Event, now: Instant) -> None:
        settings = self.settings
        match event:
            case IkeEstablished(sa=sa, rekeyed_from=old):
                if sa.local_behind_nat and "sends-no-keepalive" not in self._faults:
                    self._keepalive_due = now + _KEEPALIVE
                if settings.ike_lifetime:
                    self._due.append((now + settings.ike_lifetime, sa))
                if settings.unique == "replace" and old is None:
                    self._close_older(sa, now)
            case ChildInstalled(sa=sa, child=installed):
                self._children[installed] = sa
                self._tunnels.install(event)
                if settings.child_lifetime and "ignores-child-limits" not in self._faults:
                    self._due.append((now + settings.child_lifetime, installed))
            case ChildRekeyed(new=new):
                self._tunnels.switch(new)
            case ChildRemoved(child=removed):
                self._children.pop(removed, None)
                self._tunnels.remove(removed)
            case PeerMoved(old=before, new=after):
                self._tunnels.move(before, after)
            case _:
                pass

    def _close_older(self, newest: IkeSa, now: Instant) -> None:
        for sa in self._endpoint.sessions():
            if sa is not newest and sa.state in _UP and sa.remote_identity == newest.remote_identity:
                self._endpoint.delete_ike(sa, now)


_STARTERS: dict[Verb, Callable[[_Node, PeerRequest, Instant], None]] = {
    Verb.INITIATE: _Node.initiate,
    Verb.CREATE: _Node.create,
    Verb.REKEY_IKE: _Node.rekey_ike,
    Verb.REKEY_CHILD: _Node.rekey_child,
    Verb.DELETE_IKE: _Node.delete_ike,
    Verb.DELETE_CHILD: _Node.delete_child,
    Verb.LIVENESS: _Node.liveness,
}


def _of_ike(impairments: frozenset[str]) -> list[str]:
    return sorted(impairments - ESP_IMPAIRMENTS.keys())


def event_line(event: Event) -> str:
    """What a log says of an event."""
    match event:
        case Dropped(drop=drop, source=source, data=data):
            return f"dropped {len(data)} octets from {source}: {drop.reason}" + (f" ({drop.text})" if drop.text else "")
        case IkeEstablished(sa=sa):
            return f"IKE SA {sa.spi_i.hex()} {sa.spi_r.hex()} with {sa.remote} is up: {sa.chosen}"
        case IkeClosed(sa=sa, reason=reason):
            return f"IKE SA {sa.spi_i.hex()} {sa.spi_r.hex()} is closed: {reason}"
        case ChildInstalled(child=installed):
            return (
                f"Child SA {installed.spi_in.hex()} in, {installed.spi_out.hex()} out is installed: {installed.chosen}"
            )
        case ChildRemoved(child=removed, reason=reason):
            return f"Child SA {removed.spi_in.hex()} is removed: {reason}"
        case _:
            reason = getattr(event, "reason", "")
            return f"{type(event).__name__} {reason}".rstrip()
