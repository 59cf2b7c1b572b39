"""IKE messages of a capture sorted into IKE SAs and exchanges, with their repetitions; bounded whatever comes."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ipsectest.base.addresses import Address
from ipsectest.base.iana import FIRST_STATUS_NOTIFY, ExchangeType
from ipsectest.decrypt.ike import Opened
from ipsectest.wire import SKF, Message, Notify, Payload

MOST_CONVERSATIONS = 1000
MOST_EXCHANGES = 256
"""Of one IKE SA; quiet ones are forgotten for later ones."""
MOST_SIGHTINGS = 16
"""Datagrams of one message that are remembered one by one; the others are counted."""
TWICE_SEEN = 20_000_000
"""Nanoseconds within which the same octets are one packet that a capture has twice, of two interfaces of a host."""
MOST_OCTETS = 1 << 24
"""Of messages whose payloads are kept; beyond it only headers count."""


_FIRST = {ExchangeType.IKE_SA_INIT, ExchangeType.IKE_INTERMEDIATE, ExchangeType.IKE_AUTH}


@dataclass(frozen=True, slots=True)
class Sighting:
    """One datagram."""

    frame: int
    nanoseconds: int
    source: Address
    destination: Address
    length: int
    """Octets of the IKE message."""
    packet_length: int
    """Octets of the IP packet, put together if it came in fragments."""
    fragment: tuple[int, int] | None
    """(number, total) of RFC 7383."""
    digest: int
    """Equal for the same octets."""


@dataclass(slots=True)
class Half:
    """All datagrams that carried a request, or a response."""

    sightings: list[Sighting] = field(default_factory=list)
    opened: Opened | None = None
    """The message, once it was whole; None where memory was short."""
    times: Counter[int] = field(default_factory=Counter)
    """How often the same octets came."""
    seen_at: dict[int, int] = field(default_factory=dict)
    """When the same octets came last."""
    last: int = 0
    """Nanoseconds of the last datagram."""

    @property
    def transmissions(self) -> int:
        """How often it was sent."""
        return max(self.times.values(), default=0)

    @property
    def payloads(self) -> list[Payload]:
        """All payloads in clear."""
        return self.opened.payloads if self.opened else []

    @property
    def is_readable(self) -> bool:
        """Whether nothing of it is encrypted still."""
        return self.opened is not None and self.opened.is_clear

    def notifies(self) -> list[Notify]:
        """Notify payloads in clear."""
        return [payload for payload in self.payloads if isinstance(payload, Notify)]

    def notify(self, kind: int) -> Notify | None:
        """The first notification of a type."""
        return next((one for one in self.notifies() if one.notify_type == kind), None)

    def errors(self) -> list[Notify]:
        """Notifications of errors."""
        return [one for one in self.notifies() if one.notify_type < FIRST_STATUS_NOTIFY]

    def take(self, sighting: Sighting) -> None:
        """One more datagram."""
        if len(self.sightings) < MOST_SIGHTINGS:
            self.sightings.append(sighting)
        known = sighting.digest in self.times
        if known or len(self.times) < MOST_SIGHTINGS:
            last = self.seen_at.get(sighting.digest, 0)
            self.times[sighting.digest] += not known or sighting.nanoseconds - last > TWICE_SEEN
            self.seen_at[sighting.digest] = sighting.nanoseconds
        self.last = sighting.nanoseconds


@dataclass(slots=True)
class Exchange:
    """A request and its response."""

    type: int
    message_id: int
    by_initiator: bool
    """Whether the original initiator of the IKE SA asked."""
    request: Half = field(default_factory=Half)
    response: Half = field(default_factory=Half)

    @property
    def is_answered(self) -> bool:
        """Whether a response came."""
        return bool(self.response.sightings)

    @property
    def first(self) -> Sighting:
        """The datagram that began it."""
        return (self.request.sightings or self.response.sightings)[0]

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to say about it."""
        return self.is_answered and self.request.transmissions == 1 and not self.response.errors()


@dataclass(slots=True)
class Conversation:
    """One IKE SA, or what was meant to become one."""

    number: int
    spi_i: bytes
    initiator: str
    """Address of the original initiator when it was first seen."""
    responder: str
    spi_r: bytes = bytes(8)
    version: int = 2
    exchanges: list[Exchange] = field(default_factory=list)
    forgotten: int = 0
    """Exchanges that are no longer in the list."""

    def of(self, *kinds: int) -> Iterator[Exchange]:
        """Exchanges of these types, in order."""
        return (exchange for exchange in self.exchanges if exchange.type in kinds)

    @property
    def ends(self) -> frozenset[str]:
        """Both addresses."""
        return frozenset((self.initiator, self.responder))

    def asking(self, exchange: Exchange) -> str:
        """Who sent the request, in words."""
        return self.described(is_initiator=exchange.by_initiator)

    def answering(self, exchange: Exchange) -> str:
        """Who has to answer, in words."""
        return self.described(is_initiator=not exchange.by_initiator)

    def described(self, *, is_initiator: bool) -> str:
        """Address and role of an end."""
        return f"{self.initiator} (initiator)" if is_initiator else f"{self.responder} (responder)"


class Conversations:
    """All IKE SAs of the captures of a run."""

    def __init__(self) -> None:
        self.found: list[Conversation] = []
        self.left_out = 0
        """Conversations of which nothing is known any more."""
        self._by_spi: dict[bytes, Conversation] = {}
        self._octets = 0
        self._count = 0

    def take(self, message: Message, opened: Opened | None, sighting: Sighting) -> None:
        """One message; ``opened`` is None for a fragment that completes none."""
        if message.headerless:
            return
        conversation = self._by_spi.get(message.initiator_spi) or self._begin(message, sighting)
        if message.responder_spi != bytes(8) and conversation.spi_r == bytes(8):
            conversation.spi_r = message.responder_spi
        exchange = self._exchange(conversation, message, sighting)
        half = exchange.response if message.is_response else exchange.request
        half.take(sighting)
        if opened is None or (half.opened is not None and half.opened.is_clear):
            return
        grown = _weight(opened) - _kept(half)
        if self._octets + grown <= MOST_OCTETS:
            self._octets += grown
            half.opened = opened

    def _begin(self, message: Message, sighting: Sighting) -> Conversation:
        source, destination = sighting.source.host, sighting.destination.host
        if not message.from_initiator:
            source, destination = destination, source
        self._count += 1
        made = Conversation(self._count, message.initiator_spi, source, destination, version=message.major)
        self._by_spi[made.spi_i] = made
        self.found.append(made)
        if len(self.found) > MOST_CONVERSATIONS:
            quiet = (one for one in self.found[:-1] if all(exchange.is_quiet for exchange in one.exchanges))
            gone = next(quiet, self.found[0])
            self.found.remove(gone)
            del self._by_spi[gone.spi_i]
            self._octets -= sum(_kept(half) for one in gone.exchanges for half in (one.request, one.response))
            self.left_out += 1
        return made

    def _exchange(self, conversation: Conversation, message: Message, sighting: Sighting) -> Exchange:
        """The exchange of a message, a new one if need be."""
        by_initiator = message.from_initiator != message.is_response
        for exchange in reversed(conversation.exchanges):
            if (exchange.type, exchange.message_id) != (message.exchange_type, message.message_id):
                continue
            if exchange.by_initiator != by_initiator:
                continue
            # A further try after COOKIE or INVALID_KE_PAYLOAD has the same Message ID (RFC 7296 section 2.6).
            is_other = (
                message.exchange_type == ExchangeType.IKE_SA_INIT and sighting.digest not in exchange.request.times
            )
            if message.is_response or not is_other:
                return exchange
            break
        made = Exchange(message.exchange_type, message.message_id, by_initiator)
        conversation.exchanges.append(made)
        if len(conversation.exchanges) > MOST_EXCHANGES:
            gone = conversation.exchanges.pop(_least(conversation.exchanges))
            self._octets -= _kept(gone.request) + _kept(gone.response)
            conversation.forgotten += 1
        return made


def _least(exchanges: list[Exchange]) -> int:
    """The exchange that is missed least: a quiet one of those that do not set the IKE SA up."""
    later = [at for at, one in enumerate(exchanges[:-1]) if one.type not in _FIRST] or [1]
    quiet = [at for at in later if exchanges[at].is_quiet]
    liveness = (at for at in quiet if exchanges[at].type == ExchangeType.INFORMATIONAL)
    return next(liveness, (quiet or later)[0])


def fragment_of(message: Message) -> tuple[int, int] | None:
    """Number and total of a fragment (RFC 7383 section 2.5)."""
    last = message.payloads[-1] if message.payloads else None
    return (last.fragment, last.total) if isinstance(last, SKF) else None


def _weight(opened: Opened) -> int:
    """About how many octets it takes: a parsed payload takes much more than its four octets at least."""
    return len(opened.message.raw) + 100 * len(opened.payloads)


def _kept(half: Half) -> int:
    return _weight(half.opened) if half.opened else 0
