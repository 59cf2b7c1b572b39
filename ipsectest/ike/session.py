"""One IKE SA at work: windows, queue of tasks, clock; ``answers`` and ``outcomes`` say what a message leads to."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import Instant, RandomBytes
from ipsectest.base.iana import ExchangeType
from ipsectest.ike import nat_transport, protect
from ipsectest.ike.checks import Check
from ipsectest.ike.config import ConnectionConfig, EndpointConfig
from ipsectest.ike.context import Context
from ipsectest.ike.events import (
    ChildInstalled,
    ChildOffered,
    ChildRekeyed,
    ChildRemoved,
    Drop,
    Event,
    ExchangeFailed,
    IkeClosed,
    IkeEstablished,
    OfferEnded,
    PeerMoved,
)
from ipsectest.ike.exchanges import EXCHANGES
from ipsectest.ike.ike_auth import window_notify
from ipsectest.ike.negotiation import ChildNegotiation
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import ChildSa, ChildState, IkeSa
from ipsectest.ike.states import Kind, State
from ipsectest.ike.tasks import CreateChild, DeleteChildren, DeleteIke, Inform, Liveness, RekeyChild, RekeyIke, Task
from ipsectest.ike.window import CLOSE_FROM, RENEW_FROM, ReceiveWindow, Request, SendWindow
from ipsectest.wire import Message, Payload, build_message

LINGER = 60.0
"""Seconds that a closed session still repeats its last response."""
_CHILD_TASKS = (CreateChild, RekeyChild, DeleteChildren)


class Host(Protocol):
    """What a session needs of the endpoint it belongs to."""

    config: EndpointConfig
    random: RandomBytes
    policy: Policy

    def transmit(self, datagram: Datagram) -> None:
        """Put a datagram on its way."""
        ...

    def emit(self, event: Event) -> None:
        """Tell the outside."""
        ...

    def initiate(self, connection: ConnectionConfig, now: Instant) -> IkeSa:
        """Set another IKE SA up."""
        ...

    def drop(self, drop: Drop, incoming: "Incoming") -> None:
        """Note that a message led to nothing."""
        ...

    def register(self, session: "Session") -> None:
        """Find the session by our SPI from now on."""
        ...

    def touch(self, session: "Session") -> None:
        """Ask the session for its next deadline again; not needed while it takes a message or a timer."""
        ...

    def is_only(self, session: "Session") -> bool:
        """Whether no other IKE SA with the same peer is up."""
        ...

    def close_others(self, session: "Session", now: Instant) -> None:
        """INITIAL_CONTACT: close the other IKE SAs of the authenticated peer."""
        ...

    def has_authenticated(self, session: "Session") -> None:
        """The session is no longer half open."""
        ...

    def retire(self, session: "Session") -> None:
        """The session is closed and only repeats its last responses, if it has any."""
        ...

    def forget(self, session: "Session") -> None:
        """Nothing is to be remembered of the session."""
        ...


@dataclass(slots=True)
class Incoming:
    """A message with where it came from; ``message`` has plain payloads once it is opened."""

    message: Message
    octets: bytes
    """Without non-ESP marker."""
    source: Address
    destination: Address
    now: Instant
    kind: Kind = Kind.OTHER_REQUEST


class Session:
    """One IKE SA of an endpoint."""

    def __init__(self, host: Host, sa: IkeSa) -> None:
        self.host = host
        self.sa = sa
        self.send = SendWindow()
        self.receive = ReceiveWindow(next_id=sa.next_expected_id)
        self.queue: deque[Context] = deque()
        self.offered: set[bytes] = set()
        """SPIs of Child SAs that requests on the wire offer."""
        self.expires: Instant | None = None
        """When a half-open or closed session is forgotten."""
        self.last_heard: Instant = 0.0
        self.rounds = 0
        """Repeated requests because of COOKIE or INVALID_KE_PAYLOAD: bounded (RFC 7296 section 2.6)."""
        self.rival: Session | None = None
        """The session that the peer's crossing rekey of this IKE SA made."""
        self.heir: Session | None = None
        """The session of the IKE SA that replaced this one."""
        self.owns_children = True
        """Whether the Child SAs end with this IKE SA: not before a successor is sure to survive a collision."""
        self.last_error = ""
        """What an unprotected response said, for the reason when we give up."""
        self.closing_reason = ""
        self.last_pump: Instant = 0.0
        self.has_renewed = False
        """Whether the IKE SA was to be rekeyed because its Message IDs come to an end."""
        self.echoes: list[tuple[Instant, bytes, Incoming]] = []
        """Responses that an impaired endpoint repeats unasked: when, what, to whom."""

    # What goes out

    def context(self, now: Instant, task: Task | None = None) -> Context:
        """A new exchange."""
        return Context(self.host.config, self.host.random, self.host.policy, now, task=task)

    def request(self, exchange_type: int, ctx: Context, *, message_id: int | None = None) -> None:
        """Compose and send a request for ``ctx``; IKE_SA_INIT repetitions keep their Message ID."""
        sa = self.sa
        message = sa.header(exchange_type, sa.take_message_id() if message_id is None else message_id)
        message.payloads = EXCHANGES[exchange_type].compose_request(sa, ctx)
        finished = self._finish(message)
        if finished is None:
            self._vanish(ctx)
            return
        message, octets = finished
        if exchange_type == ExchangeType.IKE_SA_INIT:
            sa.sent(octets)
        if ctx.task is not None:
            sa.outstanding.append(ctx.task)
        pending = Request(message, octets, ctx)
        self.send.requests[message.message_id] = pending
        if (spi := _offered(ctx)) and spi not in self.offered:
            self.offered.add(spi)
            self.host.emit(ChildOffered(sa, spi))
        self.transmit_request(pending, ctx.now)

    def end_offers(self) -> None:
        """Tell which offered SPIs no response can bring into use any more."""
        if self.offered:
            awaited = {_offered(request.ctx) for request in self.send.requests.values()}
            for spi in sorted(self.offered - awaited):
                self.offered.remove(spi)
                self.host.emit(OfferEnded(self.sa, spi))

    def _vanish(self, ctx: Context) -> None:
        """A Delete that an impaired endpoint does not send: its SAs are gone all the same."""
        if isinstance(ctx.task, DeleteChildren):
            self.remove_children(ctx.task.children, "vanished")
        elif isinstance(ctx.task, DeleteIke):
            self.close("vanished", ctx.now)

    def transmit_request(self, request: Request, now: Instant) -> bool:
        """Send a request once more and set its clock; False when the patience is over."""
        policy = self.host.policy
        request.transmissions += 1
        wait = policy.wait(self.host.config, request.transmissions)
        if wait is None:
            return False
        request.next_at = now + wait
        octets: bytes | None = request.octets
        if request.transmissions > 1:
            octets = policy.retransmission(self.sa, request.message, request.octets, self.host.random)
        if octets is not None:
            self._transmit(octets, self.sa.local, self.sa.remote)
        return True

    def respond(self, incoming: Incoming, payloads: list[Payload]) -> None:
        """Answer a request and keep the answer for its repetitions."""
        octets = self.reply(incoming, payloads)
        self.receive.answer(incoming.message.message_id, incoming.octets, octets)
        self.sa.next_expected_id = self.receive.next_id

    def reply(self, incoming: Incoming, payloads: list[Payload]) -> bytes:
        """Answer a request; the octets sent, empty if nothing was."""
        message = self.sa.header(incoming.message.exchange_type, incoming.message.message_id, response=True)
        message.payloads = payloads
        finished = self._finish(message)
        if finished is None:
            return b""
        octets = finished[1]
        if message.exchange_type == ExchangeType.IKE_SA_INIT:
            self.sa.sent(octets)
        self.repeat(incoming, octets)
        delay = self.host.policy.repeats_responses_after()
        if delay is not None:
            self.echoes.append((incoming.now + delay, octets, incoming))
        return octets

    def repeat(self, incoming: Incoming, octets: bytes) -> None:
        """Send a stored response to where the request came from."""
        if octets:
            self._transmit(octets, incoming.destination, self.host.policy.reply_to(incoming.source))

    def _finish(self, message: Message) -> tuple[Message, bytes] | None:
        """The octets of a message that is ready, None if it is not to be sent."""
        edited = self.host.policy.outgoing(self.sa, message)
        if edited is None:
            return None
        if edited.exchange_type == ExchangeType.IKE_SA_INIT:
            return edited, build_message(edited)
        return edited, protect.seal(self.sa, edited, self.host.random)

    def _transmit(self, octets: bytes, local: Address, remote: Address) -> None:
        self.host.transmit(Datagram(self.host.policy.marker(local) + octets, local, remote))

    # The queue

    def submit(self, task: Task, now: Instant) -> None:
        """Do a task when its turn comes."""
        self.queue.append(self.context(now, task))
        self.pump(now)

    def pump(self, now: Instant) -> None:
        """Start what may be started: window, conflicts and waiting times permitting."""
        self.last_pump = now
        self.host.touch(self)
        while self.send.has_room(self.sa.next_request_id, self.host.policy.window(self.sa)):
            if self.sa.next_request_id >= RENEW_FROM and self.sa.state is State.ESTABLISHED:
                self._renew(now)
            ready = (ctx for ctx in self.queue if ctx.not_before <= now and self._may_start(ctx.task))
            ctx = next(ready, None)
            if ctx is None:
                return
            self.queue.remove(ctx)
            ctx.now = now
            self._start(ctx)

    def _renew(self, now: Instant) -> None:
        """Message IDs must not wrap: rekey the IKE SA in time, close it if that fails (RFC 7296 section 2.2)."""
        if self.sa.next_request_id >= CLOSE_FROM:
            self.queue.clear()
            self.queue.append(self.context(now, DeleteIke("out of Message IDs")))
        elif not self.has_renewed:
            self.has_renewed = True
            self.queue.appendleft(self.context(now, RekeyIke()))

    def _may_start(self, task: Task | None) -> bool:
        """Own exchanges that exclude each other (RFC 7296 sections 1.3.2 and 2.25) wait for each other."""
        outstanding, state = self.sa.outstanding, self.sa.state
        if isinstance(task, DeleteIke):
            return not outstanding and state in {State.ESTABLISHED, State.REKEYED}
        if state is not State.ESTABLISHED:
            return False
        if isinstance(task, RekeyIke):
            return not any(isinstance(other, _CHILD_TASKS) for other in outstanding)
        if isinstance(task, DeleteChildren):
            return not any(child.state is ChildState.REKEYING for child in task.children)
        return True

    def _start(self, ctx: Context) -> None:
        sa, task = self.sa, ctx.task
        if isinstance(task, RekeyChild):
            if task.child.spi_in not in sa.children or task.child.state is not ChildState.INSTALLED:
                self.host.emit(ExchangeFailed(sa, task, "the Child SA is gone or being replaced"))
                return
            task.child.state = ChildState.REKEYING
        elif isinstance(task, CreateChild) and sa.takes_no_children:
            self.host.emit(ExchangeFailed(sa, task, "the peer takes no more Child SAs"))
            return
        elif isinstance(task, DeleteChildren):
            there = [c for c in task.children if c.spi_in in sa.children and c.state is not ChildState.DELETING]
            if not there:
                return
            ctx.task = DeleteChildren(tuple(there))
        elif isinstance(task, RekeyIke):
            sa.state = State.REKEYING
        elif isinstance(task, DeleteIke):
            sa.state, self.closing_reason = State.DELETING, task.reason
        creates = isinstance(task, CreateChild | RekeyChild | RekeyIke)
        self.request(ExchangeType.CREATE_CHILD_SA if creates else ExchangeType.INFORMATIONAL, ctx)
        if isinstance(task, DeleteIke) and not self.host.policy.checks(Check.LAST_DELETE):
            self.request(ExchangeType.INFORMATIONAL, self.context(ctx.now, Liveness()))

    def awaited(self, response: Message) -> Request | None:
        """The request of ours that waits for such a response."""
        checks, requests = self.host.policy.checks, self.send.requests
        request = requests.get(response.message_id)
        if request is None and not checks(Check.RESPONSE_ID):
            request = next(iter(requests.values()), None)
        if request is None or request.message.exchange_type == response.exchange_type:
            return request
        return None if checks(Check.EXCHANGE_TYPE) else request

    def answered(self, message_id: int) -> Request | None:
        """Take the request that a response belongs to off the window."""
        request = self.send.requests.pop(message_id, None)
        if request is not None and request.ctx.task in self.sa.outstanding:
            self.sa.outstanding.remove(request.ctx.task)
        return request

    # Time

    def deadline(self) -> Instant | None:
        """When ``handle_timer`` has something to do."""
        times = [self.send.deadline(), self.expires, self._quiet_until(), *(echo[0] for echo in self.echoes)]
        if self.sa.state is State.ESTABLISHED:
            times += [ctx.not_before for ctx in self.queue if ctx.not_before > self.last_pump]
        return min((time for time in times if time is not None), default=None)

    def _quiet_until(self) -> Instant | None:
        interval = self.host.config.liveness_interval
        if interval is None or self.sa.state is not State.ESTABLISHED or self.send.requests or self.queue:
            return None
        return self.last_heard + interval

    def handle_timer(self, now: Instant) -> None:
        """Retransmit, give up, ask for life, expire."""
        if self.expires is not None and self.expires <= now:
            self.close("IKE_AUTH did not come", now)
            self.host.forget(self)
            return
        for echo in [echo for echo in self.echoes if echo[0] <= now]:
            self.echoes.remove(echo)
            self.repeat(echo[2], echo[1])
        for request in self.send.due(now):
            if not self.transmit_request(request, now):
                self.give_up(now)
                return
        quiet = self._quiet_until()
        if quiet is not None and quiet <= now:
            self.submit(Liveness(), now)
        self.pump(now)

    def give_up(self, now: Instant) -> None:
        """The peer does not answer: the IKE SA and all its Child SAs are gone (RFC 7296 section 2.4)."""
        self.close(f"no response{': ' + self.last_error if self.last_error else ''}", now)

    # The end, and what comes after

    def close(self, reason: str, now: Instant) -> None:
        """The IKE SA is gone; its last responses can still be asked for."""
        if self.sa.state is State.CLOSED:
            return
        if self.rival is not None and self.rival.lives_on():
            # The peer has rekeyed before our own rekey came through (RFC 7296 section 2.25.2).
            self.adopt(self.rival, now)
        self.sa.state = State.CLOSED
        self.send.requests.clear()
        self.end_offers()
        self.sa.outstanding.clear()
        self.queue.clear()
        self.expire(now + LINGER)
        if self.owns_children:
            self.remove_children(tuple(self.sa.children.values()), reason)
        self.host.emit(IkeClosed(self.sa, self.closing_reason or reason))
        self.host.retire(self)

    def expire(self, at: Instant) -> None:
        """Close the session then, if it is not, and forget it."""
        self.expires = at
        self.host.touch(self)

    def remove_children(self, children: Iterable[ChildSa], reason: str) -> None:
        """Child SAs are gone; tasks about them are pointless."""
        for child in children:
            self.sa.takes_no_children = False
            self.sa.children.pop(child.spi_in, None)
            if child.successor is not None and child.successor.spi_in in self.sa.children:
                self.host.emit(ChildRekeyed(self.sa, child, child.successor))
            self.host.emit(ChildRemoved(self.sa, child, reason))

    def installed(self, child: ChildSa) -> None:
        """A Child SA is made: tell the outside."""
        local, remote = self.sa.local, self.sa.remote
        if not self.host.policy.encapsulates(self.sa):
            local, remote = Address(local.host), Address(remote.host)
        self.host.emit(ChildInstalled(self.sa, child, local, remote))

    def follow(self, address: Incoming) -> None:
        """A peer behind a NAT may have moved: follow its genuine fresh messages (RFC 7296 section 2.23)."""
        sa, old = self.sa, self.sa.remote
        if address.source == old and address.destination == sa.local:
            return
        half_open = sa.state is State.INIT_ANSWERED
        if half_open or (sa.remote_behind_nat and not sa.local_behind_nat):
            sa.local, sa.remote = address.destination, address.source
            nat_transport.follow(sa)
            if not half_open:
                self.host.emit(PeerMoved(sa, old, sa.remote))

    def open_successor(self, new_sa: IkeSa) -> "Session":
        """A session for an IKE SA that a rekey made: it takes messages at once and sees the same Child SAs."""
        new_sa.state, new_sa.children = State.ESTABLISHED, self.sa.children
        self.host.policy.succeed(self.sa, new_sa)
        successor = Session(self.host, new_sa)
        successor.last_heard, successor.owns_children = self.last_heard, False
        self.host.register(successor)
        self.host.emit(IkeEstablished(new_sa, rekeyed_from=self.sa))
        return successor

    def adopt(self, successor: "Session", now: Instant) -> None:
        """The successor, or the one that has replaced it already, takes over Child SAs and tasks."""
        self.sa.successor, self.heir, self.rival = successor.sa, successor, None
        self.sa.state = State.REKEYED
        newest = self.newest()
        newest.owns_children, self.owns_children = self.owns_children, False
        newest.widen()
        newest.queue.extend(self.queue)
        self.queue.clear()
        newest.pump(now)

    def widen(self) -> None:
        """A rekeyed IKE SA has a window of 1 until SET_WINDOW_SIZE is sent again (RFC 7296 section 2.3)."""
        told, self.receive.size = window_notify(self.host.config), self.host.config.window
        if told:
            self.queue.append(self.context(self.last_pump, Inform(told)))

    def lives_on(self) -> bool:
        """Whether this IKE SA, or the one that a later rekey put in its place, is not closed."""
        return self.newest().sa.state is not State.CLOSED

    def newest(self) -> "Session":
        """The session at the end of the line of rekeyed IKE SAs."""
        session = self
        while session.heir is not None:
            session = session.heir
        return session


def _offered(ctx: Context) -> bytes:
    """The SPI of the Child SA that a request asks for, empty if it asks for none."""
    return ctx.pending.spi_in if isinstance(ctx.pending, ChildNegotiation) else b""
