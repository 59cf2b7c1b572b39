"""Arrivals against expected lines: whether one is meant, and whether it fits."""

from dataclasses import dataclass
from enum import Enum

from ipsectest.base.iana import ExchangeType
from ipsectest.ike.events import DropReason
from ipsectest.ike.protect import unseal
from ipsectest.ike.unsealed import Unsealed
from ipsectest.ipsec.drop import Drop
from ipsectest.scenario import authenticity
from ipsectest.scenario.association import Arrival, Carried
from ipsectest.scenario.composer import shown
from ipsectest.scenario.match import Matcher
from ipsectest.scenario.model import (
    Condition,
    DataPattern,
    MessagePattern,
    Modifiers,
    OctetsPattern,
    SamePattern,
    Silence,
)
from ipsectest.scenario.octets import is_protected
from ipsectest.scenario.received import Received
from ipsectest.scenario.session import Session, nat_hash
from ipsectest.scenario.steps import Option
from ipsectest.wire import SK, SKF, Message, Nonce, Notify
from ipsectest.wire.ip import UDP
from ipsectest.wire.message import HEADER_LENGTH

_DATA = frozenset({Carried.ESP, Carried.AH, Carried.CLEAR})


class Fit(Enum):
    """How an arrival relates to one way of meeting a line."""

    OTHER = "other"
    """Not what this line speaks of."""
    DIFFERS = "differs"
    """It is what the line speaks of, but not as written."""
    UNCLEAR = "unclear"
    """It may be what a ``no`` line forbids, but cannot be opened."""
    FITS = "fits"


@dataclass(slots=True)
class Judge:
    """Looks at arrivals with the eyes of a session."""

    session: Session

    def decode(self, arrival: Arrival) -> None:
        """Find the IKE SA and open the message, as far as the keys are there yet."""
        if arrival.carried in _DATA and arrival.received is None:
            arrival.received = self.session.traffic.open(arrival.datagram, arrival.carried.value)
        message = arrival.message
        if message is None or arrival.protected:
            return
        association = arrival.association = self.session.association_for(message)
        if association is None:
            return
        if message.is_response:
            arrival.exchange = association.ours(message.message_id)
            known = self.session.dealt_with.get(arrival.raw)
            if arrival.again and known is not None and known is not arrival.exchange:
                arrival.again = False  # the same octets, but to another request of ours
            arrival.again = arrival.again or refuses_earlier_try(arrival)
        if is_sealed(message):
            opened = unseal(association.sa, message)
            if message.responder_spi != association.sa.spi_r:
                arrival.trouble = f"its responder SPI is 0x{message.responder_spi.hex()}"
            elif isinstance(opened, Unsealed):
                arrival.message, arrival.protected, arrival.trouble = opened.message, True, ""
            elif opened.reason is not DropReason.NO_KEYS:
                arrival.trouble = f"it cannot be opened ({opened.reason.value})"

    def judge(self, arrival: Arrival, option: Option) -> tuple[Fit, str]:
        """Whether an arrival meets an option, and if it does not, why."""
        what = option.what
        match what:
            case SamePattern(label):
                return (Fit.FITS, "") if self._repeats(arrival, label) else (Fit.OTHER, "")
            case OctetsPattern(data):
                return (Fit.FITS, "") if arrival.datagram.data == data else (Fit.OTHER, "")
            case DataPattern():
                fit, why = self._data(arrival, what)
                why = why or ports_differ(arrival, option.modifiers)
                return (Fit.DIFFERS, why) if why and fit is Fit.FITS else (fit, why)
            case Silence():
                return self._silence(arrival, what, option)
            case MessagePattern():
                return self._message(arrival, what, option)

    def _repeats(self, arrival: Arrival, label: str) -> bool:
        labelled = self.session.labels.get(label)
        return labelled is not None and any(d.data == arrival.datagram.data for d in labelled.datagrams)

    def _data(self, arrival: Arrival, pattern: DataPattern) -> tuple[Fit, str]:
        received = arrival.received
        if not isinstance(received, Received) or received.carrier != pattern.carrier:
            return Fit.OTHER, ""
        why = self.session.traffic.differs(received, pattern, self.session.values(by_us=False))
        in_udp = arrival.datagram.protocol == UDP
        if pattern.encapsulation and in_udp != (pattern.encapsulation == "udp"):
            why = "it is encapsulated in UDP" if in_udp else "it is not encapsulated in UDP"
        return (Fit.DIFFERS, why) if why else (Fit.FITS, "")

    def _silence(self, arrival: Arrival, silence: Silence, option: Option) -> tuple[Fit, str]:
        """FITS means here: this breaks the silence."""
        if silence.but is None:
            return (Fit.FITS if self._breaks_silence(arrival) else Fit.OTHER), ""
        if isinstance(silence.but, DataPattern):
            return (Fit.FITS if self._data(arrival, silence.but)[0] is Fit.FITS else Fit.OTHER), ""
        if isinstance(silence.but, SamePattern):
            return (Fit.FITS if self._repeats(arrival, silence.but.label) else Fit.OTHER), ""
        return self._forbidden(arrival, silence.but, option)

    def _breaks_silence(self, arrival: Arrival) -> bool:
        ignored = arrival.again or arrival.carried is Carried.KEEPALIVE or is_liveness(arrival) or is_stray(arrival)
        return not (ignored or self._is_late_pong(arrival) or is_noise(arrival))

    def _forbidden(self, arrival: Arrival, forbidden: MessagePattern, option: Option) -> tuple[Fit, str]:
        message = arrival.message
        if message is None or arrival.again or not self._is_meant(arrival, message, forbidden, option):
            return Fit.OTHER, ""
        if is_sealed(message):  # what is in it cannot be seen, but that it was sent can
            return (Fit.UNCLEAR if forbidden.items or forbidden.header else Fit.FITS), arrival.trouble
        if option.modifiers.unencrypted and arrival.protected:
            return Fit.OTHER, ""
        why = self._matcher(arrival, message, option).message(forbidden, message, ordered=option.modifiers.ordered)
        why = why or ports_differ(arrival, option.modifiers)
        return (Fit.OTHER, why) if why else (Fit.FITS, "")

    def _is_late_pong(self, arrival: Arrival) -> bool:
        probe = arrival.received.probe if isinstance(arrival.received, Received) else None
        return probe is not None and probe.kind == "pong" and probe.number in self.session.traffic.repeated

    def _message(self, arrival: Arrival, pattern: MessagePattern, option: Option) -> tuple[Fit, str]:
        message = arrival.message
        if message is None or arrival.again or not self._is_meant(arrival, message, pattern, option):
            return Fit.OTHER, ""
        if arrival.trouble:
            return Fit.DIFFERS, arrival.trouble
        if is_protected(pattern.exchange) and arrival.protected == option.modifiers.unencrypted:
            return Fit.DIFFERS, "it is protected" if arrival.protected else "it is not protected"
        why = self._matcher(arrival, message, option).message(pattern, message, ordered=option.modifiers.ordered)
        why = why or ports_differ(arrival, option.modifiers) or self._astray(arrival, option) or parroted(arrival)
        if not why and authenticity.wanted(pattern) and arrival.association is not None:
            why = authenticity.disproof(arrival.association.sa, message, self.session.context(arrival.at))
        return (Fit.DIFFERS, why) if why else (Fit.FITS, "")

    def _astray(self, arrival: Arrival, option: Option) -> str:
        """A response goes back the way of one of our datagrams (RFC 7296 section 2.11)."""
        source, destination = arrival.datagram.source, arrival.datagram.destination
        if not option.response or (destination, source) in self.session.ways:
            return ""
        return f"it went from {source} to {destination}, where we sent nothing"

    def _is_meant(self, arrival: Arrival, message: Message, pattern: MessagePattern, option: Option) -> bool:
        """Whether the line speaks of this message at all."""
        if message.is_response != option.response:
            return False
        if option.response:
            if option.answers:
                return arrival.exchange is not None and arrival.exchange.key == option.answers
            return message.exchange_type == pattern.exchange
        if message.exchange_type != pattern.exchange:
            return False
        if pattern.exchange == ExchangeType.IKE_SA_INIT:
            return True
        return arrival.association is not None and arrival.association.name == option.sa

    def _matcher(self, arrival: Arrival, message: Message, option: Option) -> Matcher:
        session, datagram = self.session, arrival.datagram

        def fitting(notify: Notify) -> bytes:
            return nat_hash(message, notify, datagram.source, datagram.destination)

        expected = arrival.exchange.message_id if arrival.exchange else 0
        return Matcher(
            session.values(by_us=False), session.identity, session.selector, fitting, expected, option.response
        )

    def condition(self, arrival: Arrival, condition: Condition, option: Option) -> str:
        """An ``and`` line against the message that met the line above: "" or what does not fit."""
        if condition.data is not None:
            fit, why = self._data(arrival, condition.data)
            return "" if fit is Fit.FITS else why or f"it is no {condition.data.carrier} packet"
        message = arrival.message
        if message is None:
            return "it is no IKE message"
        matcher = self._matcher(arrival, message, option)
        pattern = MessagePattern(message.exchange_type, condition.items, ellipsis=True, header=condition.header)
        why = matcher.message(pattern, message, ordered=condition.modifiers.ordered)
        return why or ports_differ(arrival, condition.modifiers)


def parroted(arrival: Arrival) -> str:
    """A response with our own nonce is no answer but a reflection of what we sent (RFC 7296 section 2.10)."""
    message, exchange = arrival.message, arrival.exchange
    theirs = message.get(Nonce) if message is not None and message.is_response else None
    ours = exchange.request.get(Nonce) if exchange is not None else None
    return "its nonce is the one of our request" if theirs and ours and theirs.data == ours.data else ""


def is_sealed(message: Message) -> bool:
    """Whether a message has an SK payload that is not opened."""
    return any(isinstance(p, SK | SKF) for p in message.payloads)


def is_stray(arrival: Arrival) -> bool:
    """Whether a message is protected by an IKE SA that this case never had: it was meant for an earlier one here."""
    message = arrival.message
    return message is not None and arrival.association is None and is_sealed(message)


def refuses_earlier_try(arrival: Arrival) -> bool:
    """Whether an IKE_SA_INIT answer is a second refusal of a try that we had to send more than once.

    Peers that keep nothing of what they refuse answer each copy with an SPI of its own; all tries have message ID 0.
    """
    message, association = arrival.message, arrival.association
    if message is None or association is None or message.exchange_type != ExchangeType.IKE_SA_INIT:
        return False
    tries = [e for e in association.exchanges if e.ours and e.exchange_type == ExchangeType.IKE_SA_INIT]
    earlier = (e.arrival for e in tries[:-1] if e.transmissions > 1 and e.arrival is not None)
    return any(old is not arrival and old.raw[HEADER_LENGTH:] == arrival.raw[HEADER_LENGTH:] for old in earlier)


def is_noise(arrival: Arrival) -> bool:
    """Whether it came in clear and is no data: an ICMP error says that something was not let in, and how is open."""
    if arrival.carried is not Carried.CLEAR:
        return False
    probe = arrival.received.probe if isinstance(arrival.received, Received) else None
    return probe is None or probe.is_error


def is_liveness(arrival: Arrival) -> bool:
    """Whether a message is an empty INFORMATIONAL request of the peer."""
    message = arrival.message
    if message is None or message.exchange_type != ExchangeType.INFORMATIONAL or message.is_response:
        return False
    return arrival.protected and not message.payloads


def ports_differ(arrival: Arrival, modifiers: Modifiers) -> str:
    """``from 500``, ``to 4500``: where the datagram has to come from and go to."""
    source, destination = arrival.datagram.source, arrival.datagram.destination
    for wanted, actual, word in ((modifiers.source, source, "from"), (modifiers.destination, destination, "to")):
        if wanted in {"500", "4500"} and actual.port != int(wanted):
            return f"{word} port {actual.port}"
        if wanted == "other" and actual.port in {500, 4500}:
            return f"{word} port {actual.port}"
    return ""


def text_of(arrival: Arrival) -> str:
    """An arrival in the words of the notation."""
    if isinstance(arrival.received, Received):
        return arrival.received.text
    if isinstance(arrival.received, Drop):
        return f"{arrival.carried.value} ({arrival.received.reason.value})"
    if arrival.carried is Carried.KEEPALIVE:
        return "keepalive"
    if arrival.message is None:
        return f"{arrival.carried.value} with an unknown SPI ({len(arrival.raw)} octets)"
    return shown(arrival.message)
