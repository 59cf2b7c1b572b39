"""The IKEv2 message: header fields and the payload chain (RFC 7296 section 3.1)."""

from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from ipsectest.base.iana import ExchangeType, HeaderFlag, PayloadType
from ipsectest.wire.anomalies import Anomaly
from ipsectest.wire.fields import Field, auto, octets, uint
from ipsectest.wire.payloads import Notify, Payload
from ipsectest.wire.spans import Span, chain_spans, message_spans
from ipsectest.wire.structures import Fields

HEADER_LENGTH = 28
"""Octets of the IKE header."""
_INITIATOR = HeaderFlag.INITIATOR.value
_RESPONSE = HeaderFlag.RESPONSE.value
P = TypeVar("P", bound=Payload)


@dataclass(slots=True)
class Message:
    """One IKEv2 message; SPIs are 8 octets, ``None`` fields are filled in when building.

    ``trailing`` follows the last payload. ``raw`` and ``anomalies`` are what the parser saw and
    play no part in building. ``headerless`` marks fewer than 28 octets, all in ``trailing``.
    """

    initiator_spi: bytes = bytes(8)
    responder_spi: bytes = bytes(8)
    exchange_type: int = 0
    flags: int = 0
    message_id: int = 0
    payloads: list[Payload] = field(default_factory=list)
    major: int = 2
    minor: int = 0
    next_payload: int | None = None
    length: int | None = None
    trailing: bytes = b""
    headerless: bool = False
    anomalies: tuple[Anomaly, ...] = field(default=(), compare=False)
    raw: bytes = field(default=b"", compare=False, repr=False)

    FIELDS: ClassVar[Fields] = (
        octets("initiator_spi", 8),
        octets("responder_spi", 8),
        auto("next_payload", 1, PayloadType),
        Field("major", 1, mask=0xF0),
        Field("minor", 1, mask=0x0F, shared=True),
        uint("exchange_type", 1, ExchangeType),
        uint("flags", 1),
        uint("message_id", 4),
        auto("length", 4),
    )

    @property
    def is_response(self) -> bool:
        """Whether the R flag is set."""
        return bool(self.flags & _RESPONSE)

    @property
    def from_initiator(self) -> bool:
        """Whether the I flag is set: the sender is the original initiator of the IKE SA."""
        return bool(self.flags & _INITIATOR)

    def get(self, kind: type[P]) -> P | None:
        """The first payload of a class, None without one."""
        for payload in self.payloads:
            if isinstance(payload, kind):
                return payload
        return None

    def all(self, kind: type[P]) -> list[P]:
        """Every payload of a class, in order."""
        return [payload for payload in self.payloads if isinstance(payload, kind)]

    def notify(self, notify_type: int) -> Notify | None:
        """The first Notify of a type, None without one."""
        for payload in self.payloads:
            if isinstance(payload, Notify) and payload.notify_type == notify_type:
                return payload
        return None

    @property
    def spans(self) -> dict[str, Span]:
        """Octet span of every field, computed on each call from the fields as they are now."""
        return message_spans(self)


@dataclass(slots=True)
class Payloads:
    """A payload chain without a header, for instance the plaintext of an SK payload.

    ``anomalies`` and ``spans`` count octets from the start of the chain.
    """

    items: list[Payload]
    trailing: bytes = b""
    anomalies: tuple[Anomaly, ...] = ()

    @property
    def spans(self) -> dict[str, Span]:
        """Octet span of every field of the chain."""
        return chain_spans(self.items)
