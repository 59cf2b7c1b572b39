"""Octets -> messages: one pass, no recursion, each structure confined to its own length.

Nothing raises and nothing is lost. Where a length lies, the structure gets the octets that its
container still has and keeps the false number; what cannot be walked stays as ``trailing``.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any

from ipsectest.base.iana import ExchangeType, HeaderFlag, PayloadType, name_of
from ipsectest.wire.anomalies import Anomaly, AnomalyCode
from ipsectest.wire.bodies import READERS, read_configuration_attributes, read_selectors
from ipsectest.wire.message import HEADER_LENGTH, Message, Payloads
from ipsectest.wire.payloads import SK, SKF, Payload, UnknownPayload
from ipsectest.wire.proposals import read_attributes, read_proposals, read_transforms
from ipsectest.wire.structures import (
    Attribute,
    ConfigurationAttribute,
    OtherTrafficSelector,
    Proposal,
    Structure,
    TrafficSelector,
    Transform,
)

_HEADER = Struct("!8s8sBBBBII").unpack_from
_GENERIC = Struct("!BBH").unpack_from
_VERSION_FLAG = HeaderFlag.VERSION.value
_RESPONSE = HeaderFlag.RESPONSE.value
_RESERVED_FLAGS = 0xFF & ~(HeaderFlag.INITIATOR.value | HeaderFlag.VERSION.value | HeaderFlag.RESPONSE.value)
_ODD_FLAGS = _RESERVED_FLAGS | _VERSION_FLAG
_ZERO_SPI = bytes(8)
_IKE_SA_INIT = ExchangeType.IKE_SA_INIT.value
_STRUCTURE_READERS: dict[type[Structure], Callable[[bytes, int, int, list[Anomaly]], tuple[list[Any], int]]] = {
    Proposal: read_proposals,
    Transform: read_transforms,
    Attribute: read_attributes,
    TrafficSelector: read_selectors,
    OtherTrafficSelector: read_selectors,
    ConfigurationAttribute: read_configuration_attributes,
}
_ENCRYPTED = (PayloadType.SK.value, PayloadType.SKF.value)


def parse_message(data: bytes) -> Message:
    """Decode one IKEv2 message without its non-ESP marker; ``build_message`` gives data back."""
    size = len(data)
    if size < HEADER_LENGTH:
        short = Anomaly(AnomalyCode.MESSAGE_TOO_SHORT, f"{size} octets are less than an IKE header", 0, size)
        return Message(trailing=data, headerless=True, anomalies=(short,), raw=data)
    spi_i, spi_r, first, version, exchange, flags, message_id, length = _HEADER(data)
    anomalies: list[Anomaly] = []
    end = size
    if length != size:
        if HEADER_LENGTH <= length < size:
            end = length
        _check_length(length, size, anomalies)
    payloads, chain_end, dangling = _walk(first, data, HEADER_LENGTH, end, anomalies)
    message = Message(spi_i, spi_r, exchange, flags, message_id, payloads, version >> 4, version & 0x0F)
    if length != size:
        message.length = length
    if not payloads and first:
        message.next_payload = first
    if chain_end != size:
        message.trailing = data[chain_end:]
        if chain_end != end and not dangling:
            text = f"{end - chain_end} octets follow the last payload"
            anomalies.append(Anomaly(AnomalyCode.TRAILING_OCTETS, text, chain_end, end))
    early_spi = exchange == _IKE_SA_INIT and not flags & _RESPONSE and spi_r != _ZERO_SPI
    if version != 0x20 or flags & _ODD_FLAGS or spi_i == _ZERO_SPI or early_spi:
        _check_header(message, anomalies)
    message.anomalies = tuple(anomalies)
    message.raw = data
    return message


def parse_payloads(first: int, data: bytes) -> Payloads:
    """Decode a payload chain whose first payload has type ``first``."""
    anomalies: list[Anomaly] = []
    items, end, dangling = _walk(first, data, 0, len(data), anomalies)
    if end != len(data) and not dangling:
        text = f"{len(data) - end} octets follow the last payload"
        anomalies.append(Anomaly(AnomalyCode.TRAILING_OCTETS, text, end, len(data)))
    return Payloads(items, data[end:], tuple(anomalies))


def parse_structures(kind: type[Structure], data: bytes) -> tuple[list[Structure], bytes]:
    """Decode a run of structures of one kind, and the octets that follow the last of them."""
    items, end = _STRUCTURE_READERS[kind](data, 0, len(data), [])
    return items, data[end:]


def _walk(kind: int, data: bytes, position: int, end: int, anomalies: list[Anomaly]) -> tuple[list[Payload], int, bool]:
    """Payloads from position on, where they end, and whether the chain broke off before its end."""
    payloads: list[Payload] = []
    while kind:
        if end - position < 4:
            text = f"the chain announces payload {kind}, {end - position} octets are left"
            anomalies.append(Anomaly(AnomalyCode.LENGTH_BEYOND_CONTAINER, text, position, end))
            break
        next_kind, second, length = _GENERIC(data, position)
        if length < 4:
            text = f"payload length {length} is less than its header"
            anomalies.append(Anomaly(AnomalyCode.LENGTH_TOO_SMALL, text, position + 2, position + 4))
            break
        stop = min(position + length, end)
        reader = READERS.get(kind)
        payload = reader(data, position + 4, stop, anomalies) if reader else None
        if payload is None:
            payload = UnknownPayload(kind, data[position + 4 : stop])
        if position + length > end:
            payload.length = length
            text = f"payload length {length}, {end - position} octets are left"
            anomalies.append(Anomaly(AnomalyCode.LENGTH_BEYOND_CONTAINER, text, position + 2, position + 4))
        if second or reader is None:
            payload.critical, payload.reserved = second > 0x7F, second & 0x7F
            _check_generic(kind, second, position, known=reader is not None, anomalies=anomalies)
        payloads.append(payload)
        position = stop
        if kind in _ENCRYPTED:
            _set_first(payload, next_kind)
            return payloads, position, False
        kind = next_kind
    if kind and payloads:
        payloads[-1].next_payload = kind
    return payloads, position, kind != 0


def _set_first(payload: Payload, kind: int) -> None:
    """SK ends the chain, its next-payload field belongs to the inner one (RFC 7296 section 3.14)."""
    if isinstance(payload, SK | SKF):
        payload.first = kind
    elif kind:
        payload.next_payload = kind


def _check_generic(kind: int, second: int, position: int, *, known: bool, anomalies: list[Anomaly]) -> None:
    """Critical and reserved bits of the generic header (RFC 7296 sections 2.5 and 3.2)."""
    name = name_of(PayloadType, kind)
    critical = second > 0x7F
    if critical and known:
        text = f"critical bit set on payload {name}"
        anomalies.append(Anomaly(AnomalyCode.KNOWN_PAYLOAD_CRITICAL, text, position + 1, position + 2))
    if not known:
        code = AnomalyCode.UNKNOWN_CRITICAL_PAYLOAD if critical else AnomalyCode.UNKNOWN_PAYLOAD
        anomalies.append(Anomaly(code, f"payload type {name} has no layout", position, position + 4))
    if second & 0x7F:
        text = f"reserved bits {second & 0x7F:#04x} in the generic header"
        anomalies.append(Anomaly(AnomalyCode.RESERVED_SET, text, position + 1, position + 2))


def _check_length(length: int, size: int, anomalies: list[Anomaly]) -> None:
    if length < HEADER_LENGTH:
        text = f"message length {length} is less than an IKE header"
        anomalies.append(Anomaly(AnomalyCode.LENGTH_TOO_SMALL, text, 24, 28))
    elif length > size:
        text = f"message length {length}, the datagram has {size} octets"
        anomalies.append(Anomaly(AnomalyCode.LENGTH_BEYOND_CONTAINER, text, 24, 28))
    else:
        text = f"{size - length} octets follow the message"
        anomalies.append(Anomaly(AnomalyCode.TRAILING_OCTETS, text, length, size))


def _check_header(message: Message, anomalies: list[Anomaly]) -> None:
    """What RFC 7296 section 3.1 says of the header and of the first message."""
    if message.initiator_spi == _ZERO_SPI:
        anomalies.append(Anomaly(AnomalyCode.ZERO_INITIATOR_SPI, "the initiator's SPI is zero", 0, 8))
    if message.exchange_type == _IKE_SA_INIT and not message.is_response and message.responder_spi != _ZERO_SPI:
        text = "a responder SPI in an IKE_SA_INIT request"
        anomalies.append(Anomaly(AnomalyCode.RESPONDER_SPI_IN_FIRST_REQUEST, text, 8, 16))
    if message.major != 2:
        anomalies.append(Anomaly(AnomalyCode.MAJOR_VERSION, f"major version {message.major}", 17, 18))
    if message.minor:
        anomalies.append(Anomaly(AnomalyCode.MINOR_VERSION, f"minor version {message.minor}", 17, 18))
    if message.flags & _VERSION_FLAG:
        anomalies.append(Anomaly(AnomalyCode.VERSION_FLAG, "the V flag is set", 19, 20))
    if message.flags & _RESERVED_FLAGS:
        text = f"reserved flags {message.flags & _RESERVED_FLAGS:#04x}"
        anomalies.append(Anomaly(AnomalyCode.RESERVED_SET, text, 19, 20))
