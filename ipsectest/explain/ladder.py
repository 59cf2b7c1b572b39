"""The exchanges of one IKE SA as rungs: who sent what to whom, and when; repetitions on one rung."""

from dataclasses import dataclass
from typing import Any

from ipsectest.base.iana import FIRST_STATUS_NOTIFY, ExchangeType, NotifyType, ProtocolId, name_of
from ipsectest.base.suites import TransformSpec
from ipsectest.explain.conversations import Conversation, Exchange, Half
from ipsectest.wire import KE, SK, SKF, Delete, Message, Notify, Payload, VendorID, payload_name

_TOLD = {
    NotifyType.COOKIE, NotifyType.REKEY_SA, NotifyType.USE_TRANSPORT_MODE, NotifyType.REDIRECT, NotifyType.COOKIE2,
    NotifyType.UPDATE_SA_ADDRESSES, NotifyType.IPCOMP_SUPPORTED, NotifyType.ADDITIONAL_KEY_EXCHANGE,
    NotifyType.TICKET_OPAQUE, NotifyType.TICKET_NACK, NotifyType.INITIAL_CONTACT,
}  # fmt: skip
"""Status notifications that change what happens; the others announce what an end supports, and are counted."""
_KE_TYPE = 4
MOST_NAMES = 20
"""Payloads of one message that are named."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One message, however often it was sent."""

    number: int
    """Of the frame, or of the line of a log."""
    nanoseconds: int
    source: str
    """Address and port."""
    destination: str
    to_right: bool
    """From the original initiator to the responder."""
    text: str
    times: int = 1
    seconds: float = 0.0
    """From the first to the last time."""
    is_error: bool = False
    is_unanswered: bool = False

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "number": self.number,
            "nanoseconds": self.nanoseconds,
            "source": self.source,
            "destination": self.destination,
            "to_right": self.to_right,
            "text": self.text,
            "times": self.times,
            "seconds": self.seconds,
            "error": self.is_error,
            "unanswered": self.is_unanswered,
        }


def rungs(conversation: Conversation) -> list[Rung]:
    """All of a conversation, in the order of the first time each was sent."""
    made = [
        rung
        for exchange in conversation.exchanges
        for half, is_response in ((exchange.request, False), (exchange.response, True))
        if (rung := _rung(exchange, half, is_response=is_response))
    ]
    return sorted(made, key=lambda rung: rung.number)


def _rung(exchange: Exchange, half: Half, *, is_response: bool) -> Rung | None:
    if not half.sightings:
        return None
    first = half.sightings[0]
    return Rung(
        first.frame,
        first.nanoseconds,
        str(first.source),
        str(first.destination),
        exchange.by_initiator != is_response,
        _text(exchange, half, is_response=is_response),
        half.transmissions,
        (half.last - first.nanoseconds) / 1e9 if half.transmissions > 1 else 0.0,
        any(one.notify_type < FIRST_STATUS_NOTIFY for one in half.notifies()),
        not is_response and not exchange.is_answered,
    )


def _text(exchange: Exchange, half: Half, *, is_response: bool) -> str:
    head = f"{name_of(ExchangeType, exchange.type)} {'response' if is_response else 'request'} {exchange.message_id}"
    opened = half.opened
    size = half.sightings[0].length
    fragments = {one.fragment[1] for one in half.sightings if one.fragment}
    if opened is None or (opened.is_encrypted and not opened.is_clear):
        if fragments:
            seen = {one.fragment[0] for one in half.sightings if one.fragment}
            return f"{head}: encrypted, {len(seen)} of {max(fragments)} fragments"
        return f"{head}: encrypted, {size} octets"
    return f"{head}: {names(opened.payloads, opened.message)}" + (
        f" (in {max(fragments)} fragments)" if fragments else ""
    )


def names(payloads: list[Payload], message: Message) -> str:
    """Payloads in words, with what matters of each; announcements are counted."""
    shown, announced, vendors = [], 0, 0
    for payload in payloads:
        match payload:
            case VendorID():
                vendors += 1
            case Notify() if payload.notify_type >= FIRST_STATUS_NOTIFY and payload.notify_type not in _TOLD:
                announced += 1
            case SK() | SKF():
                pass
            case _:
                shown.append(_name(payload, is_response=message.is_response))
    if announced:
        shown.append(f"+{announced} N")
    if vendors:
        shown.append(f"+{vendors} V")
    if len(shown) > MOST_NAMES:
        shown = [*shown[:MOST_NAMES], f"... {len(shown) - MOST_NAMES} more"]
    return " ".join(shown) or "empty"


def _name(payload: Payload, *, is_response: bool) -> str:
    match payload:
        case KE():
            return f"KE({group_word(payload.group)})"
        case Notify() if payload.notify_type == NotifyType.INVALID_KE_PAYLOAD and len(payload.data) >= 2:
            return f"N(INVALID_KE_PAYLOAD {group_word(int.from_bytes(payload.data[:2], 'big'))})"
        case Notify() if payload.notify_type == NotifyType.REKEY_SA:
            return f"N(REKEY_SA {bytes(payload.spi).hex()})"
        case Delete():
            if payload.protocol == ProtocolId.IKE:
                return "D(IKE SA)"
            return f"D({' '.join(bytes(spi).hex() for spi in payload.spis[:4])})"
    return payload_name(payload, is_response=is_response)


def group_word(group: int) -> str:
    """The word for a key exchange method."""
    return str(TransformSpec(_KE_TYPE, group))
