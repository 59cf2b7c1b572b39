"""The state of a running case: IKE SAs and Child SAs by name, labelled messages, what is to be sent."""

from dataclasses import dataclass, field

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import Instant, RandomBytes
from ipsectest.base.iana import NAT_T_PORT, ExchangeType, NotifyType
from ipsectest.ike import nat
from ipsectest.ike.config import ConnectionConfig, EndpointConfig, Identity
from ipsectest.ike.context import Context, Outcome, Verdict
from ipsectest.ike.exchanges import EXCHANGES
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.scenario.arguments import NAMES
from ipsectest.scenario.association import Arrival, Association, Exchange
from ipsectest.scenario.facts import Ends, on_wire
from ipsectest.scenario.model import PayloadItem, SelectorWords
from ipsectest.scenario.octets import is_protected
from ipsectest.scenario.payloads import Workshop
from ipsectest.scenario.ports import Environment
from ipsectest.scenario.steps import FIRST_CHILD, NEW
from ipsectest.scenario.tester import identity, identity_of
from ipsectest.scenario.traffic import Traffic
from ipsectest.scenario.values import Values
from ipsectest.wire import Message, Notify, TrafficSelector

UNKNOWN_SPI = bytes.fromhex("fe00fe01")
_POLICY = Policy()


@dataclass(eq=False, slots=True)
class Labelled:
    """A message that went by: plain, and the datagrams it was on the wire."""

    message: Message
    datagrams: list[Datagram]
    exchange: Exchange | None = None


@dataclass(eq=False, slots=True)
class Session:
    """Everything that lines refer to by name."""

    place: Environment
    random: RandomBytes
    ends: Ends
    config: EndpointConfig
    traffic: Traffic
    associations: dict[str, Association] = field(default_factory=dict)
    keyed: list[IkeSa] = field(default_factory=list)
    """Every IKE SA that got keys."""
    labels: dict[str, Labelled] = field(default_factory=dict)
    children: dict[str, ChildSa] = field(default_factory=dict)
    outbox: list[Datagram] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dealt_with: dict[bytes, Exchange | None] = field(default_factory=dict)
    """Octets of the peer's messages so far, and the exchange they belonged to once that was known."""
    ways: set[tuple[Address, Address]] = field(default_factory=set)
    """Source and destination of the datagrams that we sent."""
    repeated_at: Instant | None = None
    """When we last repeated a request: its answer needs time too, even if we were late."""
    next_child: str = ""
    """Name of the Child SA that the peer was asked to create."""

    @property
    def connection(self) -> ConnectionConfig:
        """The tester's one connection."""
        return self.config.connections[0]

    def context(self, now: Instant) -> Context:
        """A fresh exchange context."""
        return Context(self.config, self.random, now=now)

    # Names ----------------------------------------------------------------------------------------------------------

    def values(self, *, by_us: bool) -> Values:
        """Operand evaluation for one line."""
        return Values(self.random, self.copied, self.child_spi, by_us)

    def copied(self, label: str, part: str) -> bytes:
        """The data of a payload or notify in a labelled message."""
        labelled = self.labels.get(label)
        if labelled is None:
            raise LookupError(f"the message {label!r} did not come to pass")
        message = labelled.message
        if part in NotifyType.__members__:
            notify = message.notify(NotifyType[part])
            if notify is not None:
                return notify.data
        elif part in NAMES:
            for payload in message.payloads:
                if payload.type == NAMES[part]:
                    return bytes(getattr(payload, "data", b""))
        raise LookupError(f"the message {label!r} has no {part}")

    def child_spi(self, name: str, side: str, by_us: bool) -> bytes:
        """The SPI of a Child SA that a line means."""
        if side == "nobody":
            return UNKNOWN_SPI
        child = self.children.get(name)
        if child is None:
            raise LookupError(f"there is no Child SA {name!r}")
        ours = by_us if side == "sender" else side == "ours"
        return child.spi_in if ours else child.spi_out

    def identity(self, item: PayloadItem) -> Identity:
        """What IDi(...) or IDr(...) means."""
        words = item.identity
        if words is None or words.kind == "ours":
            return identity_of(self.ends.identity)
        if words.kind == "theirs":
            return identity_of(self.ends.peer.local_id)
        return identity(words.kind, words.value)

    def selector(self, words: SelectorWords) -> TrafficSelector:
        """A selector as it stands in a TS payload."""
        return on_wire(words, self.place)

    def workshop(self, values: Values) -> Workshop:
        """Makes and edits payloads of one line."""
        return Workshop(values, self.identity, self.selector)

    # What exchanges change ------------------------------------------------------------------------------------------

    def open_exchange(self, key: str, sa_name: str, arrival: Arrival, message: Message, now: Instant) -> Exchange:
        """The exchange that a request of the peer begins; an IKE_SA_INIT request begins an IKE SA."""
        datagram, association = arrival.datagram, arrival.association
        if message.exchange_type == ExchangeType.IKE_SA_INIT:
            sa = IkeSa.responder(message, self.connection, datagram.destination, datagram.source)
            sa.received(arrival.raw)
            association = self.associations[sa_name] = Association(sa_name, sa)
        if association is None:
            raise LookupError("the request belongs to no IKE SA")
        sa = association.sa
        if arrival.protected:
            sa.local, sa.remote = datagram.destination, datagram.source
            sa.next_expected_id = max(sa.next_expected_id, message.message_id + 1)
        exchange = Exchange(
            key, association, message.exchange_type, message.message_id, ours=False, context=self.context(now),
            request=message, request_datagrams=[datagram], arrival=arrival,
        )  # fmt: skip
        association.exchanges.append(exchange)
        return exchange

    def process_response(self, exchange: Exchange, arrival: Arrival) -> Verdict:
        """Take a response over, as a correct initiator of the exchange would."""
        association, message = exchange.association, arrival.message
        if exchange.processed or message is None:
            return Verdict(Outcome.DROPPED)
        if is_protected(exchange.exchange_type) and not arrival.protected:
            give_back_id(exchange)  # an error in clear: the peer did not count our request
            return Verdict(Outcome.DROPPED, reason="not protected")
        exchange.response, exchange.arrival = message, arrival
        exchange.retransmit_at = None
        sa = association.sa
        if exchange.context.task in sa.outstanding:
            sa.outstanding.remove(exchange.context.task)
        module = EXCHANGES.get(exchange.exchange_type)
        if module is None or message.exchange_type != exchange.exchange_type:
            exchange.processed = True
            return Verdict(Outcome.DROPPED, reason="no exchange we know")
        if exchange.exchange_type == ExchangeType.IKE_SA_INIT:
            if sa.keys is not None:
                return Verdict(Outcome.DROPPED, reason="IKE_SA_INIT is over")
            sa.received(arrival.raw)
        if exchange.exchange_type == ExchangeType.CREATE_CHILD_SA and exchange.context.pending is None:
            exchange.processed = True
            return Verdict(Outcome.DROPPED, reason="nothing was asked for")
        verdict = module.read_response(sa, message, exchange.context)
        exchange.processed = verdict.outcome is not Outcome.RETRY
        self.adopt(exchange, verdict)
        return verdict

    def adopt(self, exchange: Exchange, verdict: Verdict) -> None:
        """Names and addresses for what an exchange made or closed."""
        association = exchange.association
        sa = association.sa
        if exchange.exchange_type == ExchangeType.IKE_SA_INIT and sa.keys is not None:
            self._after_init(association, we_started=exchange.ours)
        if exchange.exchange_type == ExchangeType.IKE_AUTH and verdict.outcome in {Outcome.OK, Outcome.CHILD_FAILED}:
            association.established = True
        if verdict.deletes_ike or (
            verdict.outcome is Outcome.FATAL and exchange.exchange_type != ExchangeType.IKE_SA_INIT
        ):
            association.closed = True
        name = self._name_for(exchange)
        if verdict.child is not None:
            first = exchange.exchange_type == ExchangeType.IKE_AUTH
            self.install(association.first_child if first else name, verdict.child, sa)
        if verdict.new_sa is not None:
            self._succeed(association, verdict.new_sa, name)

    def _name_for(self, exchange: Exchange) -> str:
        """The label of the request, or of the response, or ``new``."""
        keys = [
            key for key, labelled in self.labels.items() if labelled.exchange is exchange and not key.startswith("#")
        ]
        name = keys[0] if keys else self.next_child or NEW
        self.next_child = ""
        return name

    def install(self, name: str, child: ChildSa, sa: IkeSa) -> None:
        """Make a Child SA known under its name."""
        self.children[name] = child
        self.traffic.add(name, child, sa, encapsulated=_POLICY.encapsulates(sa))

    def _succeed(self, old: Association, new: IkeSa, name: str) -> None:
        """A rekeyed IKE SA inherits the Child SAs (RFC 7296 section 2.8)."""
        new.children.update(old.sa.children)
        old.sa.children.clear()
        old.sa.successor = new
        self.keyed.append(new)
        self.associations[name] = Association(name, new, established=True)

    def _after_init(self, association: Association, *, we_started: bool) -> None:
        """NAT flags that we pretend, and the move to port 4500 by the initiator (RFC 7296 section 2.23)."""
        sa = association.sa
        self.keyed.append(sa)
        sa.local_behind_nat |= association.pretends_local_nat
        sa.remote_behind_nat |= association.pretends_remote_nat
        if we_started and _POLICY.moves_to_nat_port(sa):
            sa.local, sa.remote = Address(sa.local.host, NAT_T_PORT), Address(sa.remote.host, NAT_T_PORT)

    # Finding --------------------------------------------------------------------------------------------------------

    def association_for(self, message: Message) -> Association | None:
        """The IKE SA a message of the peer belongs to."""
        for association in reversed(self.associations.values()):
            sa = association.sa
            if message.initiator_spi != sa.spi_i:
                continue
            if sa.is_initiator or message.responder_spi == sa.spi_r or not any(message.responder_spi):
                return association
        for association in reversed(self.associations.values()):
            if any(e.ours and e.header_spi == message.initiator_spi for e in association.exchanges):
                return association
        return None

    def named(self, name: str) -> Association:
        """An IKE SA by name; LookupError."""
        if name not in self.associations:
            raise LookupError(f"there is no IKE SA {name!r} (yet)")
        return self.associations[name]


def give_back_id(exchange: Exchange) -> None:
    """Our request was not counted by the peer: the next one takes its message ID."""
    sa = exchange.association.sa
    if exchange.taken_id and exchange.response is None and sa.next_request_id == exchange.message_id + 1:
        sa.next_request_id -= 1
        exchange.taken_id = False


def nat_hash(message: Message, notify: Notify, local: Address, remote: Address) -> bytes:
    """The NAT detection hash that fits a message which ``local`` sent to ``remote``."""
    address = local if notify.notify_type == NotifyType.NAT_DETECTION_SOURCE_IP else remote
    return nat.detection_hash(message.initiator_spi, message.responder_spi, address)


__all__ = ["FIRST_CHILD", "Labelled", "Session", "nat_hash"]
