"""IKEv2 as Scapy layers: ``IKEv2()/IKEv2_SA(...)/IKEv2_KE(...)``.

Fields have wire's names. A length, count, next payload or SPI size of None is filled in when the
packet is built, and ``show()`` prints it with ``[auto]``; set one to write it as given.
"""
# ruff: noqa: N801, RUF012 - names and declarations follow Scapy's habits

from collections.abc import Iterable
from typing import Any

from scapy.config import conf
from scapy.fields import FlagsField
from scapy.layers.inet import UDP
from scapy.layers.isakmp import ISAKMP
from scapy.packet import NoPayload, Packet

from ipsectest import wire
from ipsectest.base.iana import PayloadType
from ipsectest.layers.fields import NumberField, settled
from ipsectest.layers.layer import WireLayer, after_chain, fields_of, link, raw_layer
from ipsectest.layers.structures import (
    IKEv2_Attribute,
    IKEv2_ConfigurationAttribute,
    IKEv2_OtherTrafficSelector,
    IKEv2_Proposal,
    IKEv2_TrafficSelector,
    IKEv2_Transform,
)

FLAG_LETTERS = ["x0", "x1", "x2", "I", "V", "R", "x6", "x7"]
_FIRST = wire.Field("first", 1, names=PayloadType)


class HeaderFlagsField(FlagsField):  # type: ignore[misc]
    """The Flags octet; ``packet.flags.I`` and ``packet.flags.R`` read single bits."""

    def to_wire(self, value: Any) -> int:
        """What wire takes."""
        return int(settled(value))

    def from_wire(self, value: int) -> Any:
        """What Scapy keeps."""
        return self.any2i(None, value)


class PayloadLayer(WireLayer):
    """A payload of IKEv2; a chain of them is built and read as a whole."""

    def octets(self) -> bytes:
        """This payload alone, its next-payload field naming the payload layer behind it."""
        return self._encoded([self.to_wire(), *self._announced()])[: self._size()]

    def _announced(self) -> list[wire.Payload]:
        following = self.payload
        return [wire.UnknownPayload(following.to_wire().type)] if isinstance(following, PayloadLayer) else []

    def _size(self) -> int:
        return len(self._encoded([self.to_wire()]))

    @staticmethod
    def _encoded(payloads: list[wire.Payload]) -> bytes:
        return wire.build_payloads(payloads)[1]

    def do_build(self) -> bytes:
        """The chain from this payload on, and what follows it."""
        octets: bytes = wire.build_payloads(wire_payloads(self))[1] + after_chain(self).do_build()
        return octets

    def table(self) -> tuple[wire.Field, ...]:
        """Generic header and body."""
        return wire.GENERIC_HEADER + super().table()

    def _do_summary(self) -> Any:
        """Nothing: the header's line names the payloads."""
        return after_chain(self)._do_summary()  # noqa: SLF001 - Scapy's protocol between layers

    def dissect(self, s: bytes) -> None:
        """Read a chain that begins with this payload."""
        kind = getattr(self.wire_class, "type", None)
        chain = wire.parse_payloads(kind if isinstance(kind, int) else 255, s)
        if chain.items and isinstance(chain.items[0], self.wire_class):
            self.take(chain.items[0])
            attach(self, chain.items[1:], chain.trailing)
        else:
            link(self, raw_layer(s))


class IKEv2(WireLayer):
    """The IKE header (RFC 7296 section 3.1); ``anomalies`` are what the parser noticed."""

    __slots__ = ["anomalies"]
    name = "IKEv2"
    wire_class = wire.Message
    fields_desc = [
        HeaderFlagsField(field.name, 0x08, 8, FLAG_LETTERS) if field.name == "flags" else field
        for field in fields_of(
            wire.Message, {"initiator_spi": bytes(8), "responder_spi": bytes(8), "major": 2, "exchange_type": 34}
        )
    ]

    def __init__(self, *args: Any, **fields: Any) -> None:
        object.__setattr__(self, "anomalies", ())
        super().__init__(*args, **fields)

    @classmethod
    def dispatch_hook(cls, _pkt: bytes | None = None, *_args: Any, **_kargs: Any) -> type[Packet]:
        """IKEv1 goes to Scapy's ISAKMP, octets shorter than a header stay raw."""
        if not _pkt:
            return cls
        if len(_pkt) < wire.HEADER_LENGTH:
            raw: type[Packet] = conf.raw_layer
            return raw
        return ISAKMP if _pkt[17] >> 4 == 1 else cls

    def octets(self) -> bytes:
        """The header alone, its length and next-payload fields right for the whole message."""
        return wire.build_message(to_message(self))[: wire.HEADER_LENGTH]

    def do_build(self) -> bytes:
        """The whole message."""
        return wire.build_message(to_message(self))

    def dissect(self, s: bytes) -> None:
        """Read a whole message."""
        message = wire.parse_message(s)
        if message.headerless:
            link(self, raw_layer(s))
        else:
            self.take_message(message)

    def take_message(self, message: wire.Message) -> None:
        """Become the layer of a message, payloads behind it."""
        self.take(message)
        object.__setattr__(self, "anomalies", message.anomalies)
        attach(self, message.payloads, message.trailing)

    def hashret(self) -> bytes:
        """What a request and its response have in common."""
        message = self.to_wire()
        return bytes(message.initiator_spi) + int(message.message_id).to_bytes(4)

    def answers(self, other: Packet) -> bool:
        """Whether this is a response to other: same SPIs, exchange and message ID, R flag only here."""
        if not isinstance(other, IKEv2):
            return False
        mine, theirs = self.to_wire(), other.to_wire()
        return (
            mine.is_response
            and not theirs.is_response
            and mine.initiator_spi == theirs.initiator_spi
            and theirs.responder_spi in {mine.responder_spi, bytes(8)}
            and (mine.exchange_type, mine.message_id) == (theirs.exchange_type, theirs.message_id)
        )

    def mysummary(self) -> Any:
        """The ladder line of the message."""
        return wire.summary(to_message(self)), [UDP]


class IKEv2_SA(PayloadLayer):
    """Security Association."""

    name = "SA"
    wire_class = wire.SA
    fields_desc = fields_of(wire.SA, structures=(IKEv2_Proposal,))


class IKEv2_KE(PayloadLayer):
    """Key Exchange."""

    name = "KE"
    wire_class = wire.KE
    fields_desc = fields_of(wire.KE, {"group": 31})


class IKEv2_IDi(PayloadLayer):
    """Identification of the initiator."""

    name = "IDi"
    wire_class = wire.IDi
    fields_desc = fields_of(wire.IDi, {"id_type": 2}, addresses=("data",))


class IKEv2_IDr(PayloadLayer):
    """Identification of the responder."""

    name = "IDr"
    wire_class = wire.IDr
    fields_desc = fields_of(wire.IDr, {"id_type": 2}, addresses=("data",))


class IKEv2_CERT(PayloadLayer):
    """Certificate."""

    name = "CERT"
    wire_class = wire.CERT
    fields_desc = fields_of(wire.CERT, {"encoding": 4})


class IKEv2_CERTREQ(PayloadLayer):
    """Certificate Request."""

    name = "CERTREQ"
    wire_class = wire.CERTREQ
    fields_desc = fields_of(wire.CERTREQ, {"encoding": 4})


class IKEv2_AUTH(PayloadLayer):
    """Authentication."""

    name = "AUTH"
    wire_class = wire.AUTH
    fields_desc = fields_of(wire.AUTH, {"method": 2})


class IKEv2_Nonce(PayloadLayer):
    """Nonce."""

    name = "Nonce"
    wire_class = wire.Nonce
    fields_desc = fields_of(wire.Nonce)


class IKEv2_Notify(PayloadLayer):
    """Notify."""

    name = "Notify"
    wire_class = wire.Notify
    fields_desc = fields_of(wire.Notify)


class IKEv2_Delete(PayloadLayer):
    """Delete."""

    name = "Delete"
    wire_class = wire.Delete
    fields_desc = fields_of(wire.Delete, {"protocol": 1})


class IKEv2_VendorID(PayloadLayer):
    """Vendor ID."""

    name = "Vendor ID"
    wire_class = wire.VendorID
    fields_desc = fields_of(wire.VendorID)


class IKEv2_TSi(PayloadLayer):
    """Traffic Selectors of the initiator."""

    name = "TSi"
    wire_class = wire.TSi
    fields_desc = fields_of(wire.TSi, structures=(IKEv2_TrafficSelector, IKEv2_OtherTrafficSelector))


class IKEv2_TSr(PayloadLayer):
    """Traffic Selectors of the responder."""

    name = "TSr"
    wire_class = wire.TSr
    fields_desc = fields_of(wire.TSr, structures=(IKEv2_TrafficSelector, IKEv2_OtherTrafficSelector))


class IKEv2_SK(PayloadLayer):
    """Encrypted and Authenticated; see ``ipsectest.layers.sealed`` for opening and closing it."""

    name = "SK"
    wire_class = wire.SK
    fields_desc = [*fields_of(wire.SK), NumberField(_FIRST, 0)]


class IKEv2_SKF(PayloadLayer):
    """Encrypted and Authenticated Fragment."""

    name = "SKF"
    wire_class = wire.SKF
    fields_desc = [*fields_of(wire.SKF, {"fragment": 1, "total": 1}), NumberField(_FIRST, 0)]


class IKEv2_CP(PayloadLayer):
    """Configuration."""

    name = "CP"
    wire_class = wire.CP
    fields_desc = fields_of(wire.CP, {"cfg_type": 1}, (IKEv2_ConfigurationAttribute,))


class IKEv2_EAP(PayloadLayer):
    """Extensible Authentication."""

    name = "EAP"
    wire_class = wire.EAP
    fields_desc = fields_of(wire.EAP, {"code": 1})


class IKEv2_Unknown(PayloadLayer):
    """A payload without a layout, or whose body does not fit its type's layout."""

    name = "Unknown Payload"
    wire_class = wire.UnknownPayload
    fields_desc = [NumberField(wire.Field("type", 1, names=PayloadType), 255), *fields_of(wire.UnknownPayload)]


PAYLOAD_LAYERS: dict[type[wire.Payload], type[PayloadLayer]] = {
    wire.SA: IKEv2_SA,
    wire.KE: IKEv2_KE,
    wire.IDi: IKEv2_IDi,
    wire.IDr: IKEv2_IDr,
    wire.CERT: IKEv2_CERT,
    wire.CERTREQ: IKEv2_CERTREQ,
    wire.AUTH: IKEv2_AUTH,
    wire.Nonce: IKEv2_Nonce,
    wire.Notify: IKEv2_Notify,
    wire.Delete: IKEv2_Delete,
    wire.VendorID: IKEv2_VendorID,
    wire.TSi: IKEv2_TSi,
    wire.TSr: IKEv2_TSr,
    wire.SK: IKEv2_SK,
    wire.SKF: IKEv2_SKF,
    wire.CP: IKEv2_CP,
    wire.EAP: IKEv2_EAP,
    wire.UnknownPayload: IKEv2_Unknown,
}
"""Payload class of wire -> its layer."""


def attach(layer: Packet, payloads: Iterable[wire.Payload], trailing: bytes = b"") -> None:
    """Put the layers of payloads, and octets that follow them, behind layer, one by one from its end."""
    for payload in payloads:
        following = PAYLOAD_LAYERS[type(payload)](_internal=1)
        following.take(payload)
        link(layer, following)
        layer = following
    if trailing:
        link(layer, raw_layer(trailing))


def wire_payloads(layer: Packet) -> list[wire.Payload]:
    """The payloads of the chain of layers from layer on."""
    payloads: list[wire.Payload] = []
    while isinstance(layer, PayloadLayer):
        payloads.append(layer.to_wire())
        layer = layer.payload
    return payloads


def to_message(packet: Packet) -> wire.Message:
    """The message of an IKEv2 layer in packet; what follows its payload layers becomes ``trailing``.

    Raises ValueError when there is no IKEv2 layer.
    """
    header = packet.getlayer(IKEv2)
    if header is None:
        raise ValueError(f"no IKEv2 layer in {packet.summary()}")
    message: wire.Message = header.to_wire()
    message.payloads = wire_payloads(header.payload)
    rest = after_chain(header.payload)
    if not isinstance(rest, NoPayload):
        message.trailing = rest.do_build()
    message.anomalies = header.anomalies
    return message


def from_message(message: wire.Message) -> Packet:
    """The layers of a message; octets too short for a header become a Raw layer."""
    if message.headerless:
        return raw_layer(message.trailing)
    header = IKEv2(_internal=1)
    header.take_message(message)
    return header


__all__ = [
    "PAYLOAD_LAYERS",
    "IKEv2",
    "IKEv2_AUTH",
    "IKEv2_Attribute",
    "IKEv2_CERT",
    "IKEv2_CERTREQ",
    "IKEv2_CP",
    "IKEv2_ConfigurationAttribute",
    "IKEv2_Delete",
    "IKEv2_EAP",
    "IKEv2_IDi",
    "IKEv2_IDr",
    "IKEv2_KE",
    "IKEv2_Nonce",
    "IKEv2_Notify",
    "IKEv2_OtherTrafficSelector",
    "IKEv2_Proposal",
    "IKEv2_SA",
    "IKEv2_SK",
    "IKEv2_SKF",
    "IKEv2_TSi",
    "IKEv2_TSr",
    "IKEv2_TrafficSelector",
    "IKEv2_Transform",
    "IKEv2_Unknown",
    "IKEv2_VendorID",
    "attach",
    "from_message",
    "to_message",
    "wire_payloads",
]
