"""The sans-IO endpoint: datagrams and time go in, datagrams, a deadline and events come out."""

from collections import Counter, deque
from collections.abc import Iterable

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import Instant, RandomBytes
from ipsectest.base.iana import NAT_T_PORT, NON_ESP_MARKER, ExchangeType, HeaderFlag, NotifyType
from ipsectest.ike import answers, create_child_sa, nat_transport, outcomes, protect, responder
from ipsectest.ike.checks import Check
from ipsectest.ike.config import ChildConfig, ConnectionConfig, EndpointConfig
from ipsectest.ike.cookies import CookieJar
from ipsectest.ike.events import Drop, Dropped, DropReason, Event, IkeClosed, PeerMoved
from ipsectest.ike.half_open import HalfOpen
from ipsectest.ike.impair import impaired
from ipsectest.ike.messages import first_error
from ipsectest.ike.policy import Policy
from ipsectest.ike.rate import RateLimit
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.ike.session import Incoming, Session
from ipsectest.ike.states import Action, State, row
from ipsectest.ike.tasks import (
    CreateChild,
    DeleteChildren,
    DeleteIke,
    Inform,
    Initiate,
    Liveness,
    RekeyChild,
    RekeyIke,
    Task,
)
from ipsectest.ike.timers import Timers
from ipsectest.ike.window import Place, Request
from ipsectest.wire import SK, Message, Notify, Payload, build_message, parse_message

MAX_EVENTS = 1024
"""Unread events from which on those that strangers cause are left out."""
MAX_LINGERING = 256
"""Closed sessions that still repeat their last response."""
_HANDLERS = {**answers.HANDLERS, **outcomes.HANDLERS}


class Endpoint:
    """A node that speaks IKEv2 for all its connections, as initiator and responder."""

    def __init__(
        self, config: EndpointConfig, random: RandomBytes, policy: Policy | None = None, impairments: Iterable[str] = ()
    ) -> None:
        """``impairments`` are names of ``impair.IMPAIRMENTS``; UsageError for an unknown one."""
        self.config = config
        self.random = random
        self.policy = impaired(policy or Policy(), impairments)
        self.half_open: HalfOpen[Session] = HalfOpen(config.max_half_open)
        self.cookies = CookieJar(random)
        self.drops: Counter[DropReason] = Counter()
        """How often each reason led to nothing."""
        self._sessions: dict[bytes, Session] = {}
        self._closed: dict[Session, None] = {}
        self._outbox: list[Datagram] = []
        self._events: deque[Event] = deque()
        self._unprotected = RateLimit()
        self._probes = RateLimit(per_second=0.1, burst=3.0)
        self._timers: Timers[Session] = Timers(self._deadline_of)

    # In and out

    def receive_datagram(self, data: bytes, source: Address, destination: Address, now: Instant) -> None:
        """Take the UDP payload of a datagram; never raises for what it holds. Times are seconds."""
        incoming = Incoming(Message(), data, source, destination, now)
        drop = self._receive(incoming)
        if drop is not None:
            self.drop(drop, incoming)

    def datagrams_to_send(self, now: Instant) -> list[Datagram]:
        """Everything that is to go out; hands each datagram out once."""
        del now
        outbox, self._outbox = self._outbox, []
        return outbox

    def get_timer(self) -> Instant | None:
        """When ``handle_timer`` wants to be called; None: not before something arrives."""
        return self._timers.earliest()

    def handle_timer(self, now: Instant) -> None:
        """Do what is due: retransmissions, time-outs, liveness checks."""
        for session in self._timers.take_due(now):
            deadline = self._deadline_of(session)
            if deadline is not None and deadline <= now:
                session.handle_timer(now)

    def _deadline_of(self, session: Session) -> Instant | None:
        return session.deadline() if self._sessions.get(session.sa.spi_local) is session else None

    def next_event(self) -> Event | None:
        """The oldest event not yet taken."""
        return self._events.popleft() if self._events else None

    def sessions(self) -> list[IkeSa]:
        """The IKE SAs that are not closed."""
        return [s.sa for s in self._sessions.values() if s.sa.state is not State.CLOSED]

    def follow(self, old: Address, new: Address) -> None:
        """Genuine ESP of a peer behind a NAT came from elsewhere: send IKE there too (RFC 7296 section 2.23)."""
        for sa in self.sessions():
            if sa.remote == old and sa.remote_behind_nat and not sa.local_behind_nat:
                sa.remote = new
                nat_transport.follow(sa)
                self.emit(PeerMoved(sa, old, new))

    # Verbs

    def initiate(self, connection: ConnectionConfig, now: Instant, first: ChildConfig | None = None) -> IkeSa:
        """Set an IKE SA up with its first Child SA; ``first`` is another one than the connection's."""
        session = Session(self, IkeSa.initiator(connection, self.random))
        self.register(session)
        session.sa.state = State.INIT_SENT
        session.request(ExchangeType.IKE_SA_INIT, session.context(now, Initiate(first)), message_id=0)
        return session.sa

    def rekey_ike(self, sa: IkeSa, now: Instant) -> None:
        """Replace an IKE SA. LookupError, here and below, if it is gone."""
        self._submit(self._session(sa), RekeyIke(), now)

    def rekey_child(self, child: ChildSa, now: Instant) -> None:
        """Replace a Child SA."""
        self._submit(self._session_of(child), RekeyChild(child), now)

    def create_child(self, sa: IkeSa, config: ChildConfig, now: Instant) -> None:
        """Set another Child SA up."""
        self._submit(self._session(sa), CreateChild(config), now)

    def delete_child(self, child: ChildSa, now: Instant) -> None:
        """Close a Child SA."""
        self._submit(self._session_of(child), DeleteChildren((child,)), now)

    def delete_ike(self, sa: IkeSa, now: Instant) -> None:
        """Close an IKE SA with all its Child SAs."""
        self._submit(self._session(sa), DeleteIke(), now)

    def liveness(self, sa: IkeSa, now: Instant) -> None:
        """Ask whether the peer is alive."""
        self._submit(self._session(sa), Liveness(), now)

    def inform(self, sa: IkeSa, payloads: Iterable[Payload], now: Instant) -> None:
        """Send an INFORMATIONAL with payloads of one's own."""
        self._submit(self._session(sa), Inform(tuple(payloads)), now)

    def _submit(self, session: Session, task: Task, now: Instant) -> None:
        session.submit(task, now)

    def _session(self, sa: IkeSa) -> Session:
        while sa.successor is not None:
            sa = sa.successor
        session = self._sessions.get(sa.spi_local)
        if session is None or sa.state is State.CLOSED:
            raise LookupError("the IKE SA is gone")
        return session

    def _session_of(self, child: ChildSa) -> Session:
        for session in self._sessions.values():
            if session.owns_children and session.sa.children.get(child.spi_in) is child:
                return session
        raise LookupError("the Child SA is gone")

    # Where a datagram belongs

    def _receive(self, incoming: Incoming) -> Drop | None:
        drop = self._unwrap(incoming)
        if drop is not None:
            return drop
        message = incoming.message
        if message.exchange_type == ExchangeType.IKE_SA_INIT and (not message.is_response or self._is_stray(message)):
            return self._receive_first(incoming)
        session = self._sessions.get(message.responder_spi if message.from_initiator else message.initiator_spi)
        if session is None or session.sa.is_initiator == message.from_initiator:
            return self._refuse_spi(incoming)
        self.touch(session)
        drop = self._receive_known(session, incoming)
        session.end_offers()
        return drop

    def _is_stray(self, message: Message) -> bool:
        """Whether an IKE_SA_INIT response is taken for a request, which no healthy endpoint does."""
        return not self.policy.checks(Check.STRAY_RESPONSE) and message.initiator_spi not in self._sessions

    def _unwrap(self, incoming: Incoming) -> Drop | None:
        """From a datagram to a message of IKEv2."""
        checks = self.policy.checks
        if incoming.destination.host not in self.config.addresses:
            return Drop(DropReason.NOT_ADDRESSED)
        if incoming.destination.port == NAT_T_PORT:
            if incoming.octets.startswith(NON_ESP_MARKER):
                incoming.octets = incoming.octets[len(NON_ESP_MARKER) :]
            elif checks(Check.NON_ESP_MARKER):
                return Drop(DropReason.NOT_IKE)
        incoming.message = message = parse_message(incoming.octets)
        if message.headerless:
            return Drop(DropReason.TOO_SHORT)
        if message.major != 2 and checks(Check.MAJOR_VERSION):
            return self._refuse_version(incoming)
        return Drop(DropReason.LENGTH) if message.length is not None and checks(Check.LENGTHS) else None

    def _receive_first(self, incoming: Incoming) -> Drop | None:
        message = self.policy.incoming(None, incoming.message)
        if message is None:
            return Drop(DropReason.POLICY)
        incoming.message = message
        return responder.receive(self, incoming)

    def _receive_known(self, session: Session, incoming: Incoming) -> Drop | None:
        """A message of an IKE SA that we have: Message ID, protection, then the state table."""
        sa, message = session.sa, incoming.message
        if message.exchange_type == ExchangeType.IKE_SA_INIT:
            unsolicited = sa.state is not State.INIT_SENT
            return Drop(DropReason.UNSOLICITED_RESPONSE) if unsolicited else self._dispatch(session, incoming)
        if (message.initiator_spi if message.from_initiator else message.responder_spi) != sa.spi_remote:
            return self._refuse_spi(incoming)
        if message.get(SK) is None and self.policy.checks(Check.PROTECTION):
            return self._receive_unprotected(session, incoming)
        request = session.awaited(message) if message.is_response else None
        if request is not None:
            return self._receive_protected(session, incoming, answers=request)
        if message.is_response:
            if self.policy.checks(Check.STRAY_RESPONSE):
                return Drop(DropReason.UNSOLICITED_RESPONSE)
            message.flags &= ~HeaderFlag.RESPONSE
        return self._receive_request(session, incoming)

    def _receive_request(self, session: Session, incoming: Incoming) -> Drop | None:
        """New requests in the window go on; old ones get their stored response (RFC 7296 sections 2.1 and 2.3)."""
        checks, message_id = self.policy.checks, incoming.message.message_id
        place = session.receive.place(message_id)
        if place is Place.SEEN and checks(Check.RETRANSMISSION):
            return self._repeat(session, incoming)
        if session.sa.state is State.CLOSED:
            return self._refuse_spi(incoming)
        if place is Place.OUTSIDE and checks(Check.MESSAGE_ID):
            return self._refuse_message_id(session, incoming)
        return self._receive_protected(session, incoming)

    def _receive_protected(self, session: Session, incoming: Incoming, answers: Request | None = None) -> Drop | None:
        if incoming.message.get(SK) is not None:
            unsealed = protect.unseal(session.sa, incoming.message, self.policy)
            if isinstance(unsealed, Drop):
                return unsealed
            if not self.policy.opened(unsealed):
                return Drop(DropReason.POLICY)
            incoming.message = unsealed.message
        if answers is not None:
            asked = answers.message
            incoming.message.message_id, incoming.message.exchange_type = asked.message_id, asked.exchange_type
        return self._dispatch(session, incoming)

    def _dispatch(self, session: Session, incoming: Incoming) -> Drop | None:
        """What the state table says of a message that is genuine and new."""
        sa = session.sa
        message = self.policy.incoming(sa, incoming.message)
        if message is None:
            return Drop(DropReason.POLICY)
        incoming.message = message
        incoming.kind = create_child_sa.kind_of_message(message)
        action = row(sa.state, incoming.kind).action
        if action is Action.DROP and sa.state is State.INIT_ANSWERED and not self.policy.checks(Check.AUTHENTICATED):
            action = row(State.ESTABLISHED, incoming.kind).action
        if action is Action.DROP:
            return Drop(DropReason.UNEXPECTED, f"{incoming.kind.value} while {sa.state.value}")
        if message.exchange_type != ExchangeType.IKE_SA_INIT:
            session.last_heard = incoming.now
            session.follow(incoming)
        _HANDLERS[action](session, incoming)
        return None

    def _repeat(self, session: Session, incoming: Incoming) -> Drop | None:
        stored = session.receive.stored(incoming.message.message_id, incoming.octets)
        if stored is None:
            return Drop(DropReason.NOT_A_RETRANSMISSION)
        if not self.policy.checks(Check.STORED_RESPONSE):
            return Drop(DropReason.POLICY)
        session.repeat(incoming, stored)
        return None

    def _refuse_message_id(self, session: Session, incoming: Incoming) -> Drop:
        """A request out of the window is not answered; a request of our own may tell of it (RFC 7296 section 2.3)."""
        message_id = incoming.message.message_id
        payloads = self.policy.out_of_window(incoming.message)
        if payloads is not None:
            session.reply(incoming, payloads)
        elif self.policy.reports_bad_message_ids() and self._probes.allows(incoming.now):
            genuine = not isinstance(protect.unseal(session.sa, incoming.message, self.policy), Drop)
            told = Notify(NotifyType.INVALID_MESSAGE_ID, message_id.to_bytes(4, "big"))
            if genuine:
                session.submit(Inform((told,)), incoming.now)
        return Drop(DropReason.MESSAGE_ID, f"Message ID {message_id} is not in the window")

    def _receive_unprotected(self, session: Session, incoming: Incoming) -> Drop:
        """An unprotected error proves nothing; INVALID_IKE_SPI is a reason to ask (RFC 7296 sections 2.4, 2.21.4)."""
        error = first_error(incoming.message) if incoming.message.is_response else None
        if error is None:
            return Drop(DropReason.UNPROTECTED)
        if self.policy.believes(error, awaited=session.awaited(incoming.message) is not None):
            session.close("an unprotected error", incoming.now)
        idle = session.sa.state is State.ESTABLISHED and not session.send.requests and not session.queue
        if error.notify_type == NotifyType.INVALID_IKE_SPI and idle and self._probes.allows(incoming.now):
            session.submit(Liveness(), incoming.now)
        return Drop(DropReason.UNPROTECTED)

    # Answers to strangers

    def _refuse_version(self, incoming: Incoming) -> Drop:
        if incoming.message.major > 2 and not incoming.message.is_response:
            self._one_way(incoming, NotifyType.INVALID_MAJOR_VERSION)
        return Drop(DropReason.MAJOR_VERSION, f"major version {incoming.message.major}")

    def _refuse_spi(self, incoming: Incoming) -> Drop:
        if not incoming.message.is_response or not self.policy.checks(Check.STRAY_RESPONSE):
            self._one_way(incoming, NotifyType.INVALID_IKE_SPI)
        return Drop(DropReason.UNKNOWN_SPI)

    def _one_way(self, incoming: Incoming, notify_type: int) -> None:
        """An unprotected response with an error notify, not too often (RFC 7296 sections 1.5 and 2.21.4)."""
        if not self._unprotected.allows(incoming.now):
            return
        asked = incoming.message
        flags = HeaderFlag.RESPONSE | (0 if asked.from_initiator else HeaderFlag.INITIATOR)
        spis = asked.initiator_spi, asked.responder_spi
        answer = Message(*spis, asked.exchange_type, flags, asked.message_id, [Notify(notify_type)])
        self._send(incoming, None, answer)

    def answer_unprotected(self, incoming: Incoming, sa: IkeSa, payloads: list[Payload]) -> None:
        """Answer an IKE_SA_INIT request without keeping state."""
        answer = sa.header(incoming.message.exchange_type, incoming.message.message_id, response=True)
        answer.payloads = payloads
        self._send(incoming, sa, answer)

    def _send(self, incoming: Incoming, sa: IkeSa | None, answer: Message) -> None:
        edited = self.policy.outgoing(sa, answer)
        if edited is not None:
            data = self.policy.marker(incoming.destination) + build_message(edited)
            self.transmit(Datagram(data, incoming.destination, self.policy.reply_to(incoming.source)))

    # What sessions ask of their host

    def transmit(self, datagram: Datagram) -> None:
        """Put a datagram on its way."""
        self._outbox.append(datagram)

    def emit(self, event: Event) -> None:
        """Queue an event; what strangers cause is left out while nobody listens."""
        if len(self._events) < MAX_EVENTS or not _is_of_strangers(event):
            self._events.append(event)

    def drop(self, drop: Drop, incoming: Incoming) -> None:
        """Count a drop, and tell it while somebody listens."""
        self.drops[drop.reason] += 1
        self.emit(Dropped(drop, incoming.source, incoming.destination, incoming.octets))

    def register(self, session: Session) -> None:
        """Find the session by our SPI from now on."""
        self._sessions[session.sa.spi_local] = session
        self.touch(session)

    def touch(self, session: Session) -> None:
        """The next deadline of the session may have changed."""
        self._timers.touch(session)

    def has_authenticated(self, session: Session) -> None:
        """The session is no longer half open."""
        self.half_open.has_authenticated(session)

    def is_only(self, session: Session) -> bool:
        """Whether there is no other IKE SA with the peer of this connection."""
        connection = session.sa.connection
        others = (s.sa for s in self._sessions.values() if s is not session)
        return not any(sa.connection == connection and sa.state is not State.CLOSED for sa in others)

    def close_others(self, session: Session, now: Instant) -> None:
        """INITIAL_CONTACT: the peer remembers no other IKE SA (RFC 7296 section 2.4)."""
        identity = session.sa.remote_identity
        for other in tuple(self._sessions.values()):
            same = other.sa.remote_identity == identity and other.sa.connection.local == session.sa.connection.local
            if other is not session and same and other.sa.state not in {State.INIT_ANSWERED, State.CLOSED}:
                other.close("INITIAL_CONTACT", now)

    def retire(self, session: Session) -> None:
        """Keep a closed session for its last responses, but not too many of them."""
        self.half_open.forget(session)
        self._closed[session] = None
        if session.receive.is_empty:
            self.forget(session)
        elif len(self._closed) > MAX_LINGERING:
            self.forget(next(iter(self._closed)))

    def forget(self, session: Session) -> None:
        """Let go of a session."""
        self._closed.pop(session, None)
        if self._sessions.get(session.sa.spi_local) is session:
            del self._sessions[session.sa.spi_local]
        self.touch(session)


def _is_of_strangers(event: Event) -> bool:
    """Whether it takes no authentication to cause such an event."""
    return isinstance(event, Dropped) or (isinstance(event, IkeClosed) and event.sa.remote_identity is None)
