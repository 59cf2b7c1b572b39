"""Messages in words: one line for ladders, a decoded tree for reports."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ipsectest.base.iana import (
    ExchangeType,
    HeaderFlag,
    NotifyType,
    PayloadType,
    TransformType,
    name_of,
    transform_name,
)
from ipsectest.wire.fields import Field, Form
from ipsectest.wire.message import Message
from ipsectest.wire.payloads import GENERIC_HEADER, SK, SKF, Nonce, Notify, Payload, UnknownPayload
from ipsectest.wire.structures import TrafficSelector, Transform

_SHOWN_OCTETS = 32


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the decoded tree, ``depth`` steps to the right."""

    depth: int
    text: str


def payload_name(payload: Payload, *, is_response: bool = False) -> str:
    """The notation of RFC 7296 section 1.2: ``SA``, ``Ni``, ``N(COOKIE)``, ``D``, ``SKF(1/3)``."""
    match payload:
        case Notify():
            return f"N({name_of(NotifyType, payload.notify_type)})"
        case Nonce():
            return "Nr" if is_response else "Ni"
        case SKF():
            return f"SKF({payload.fragment}/{payload.total})"
        case UnknownPayload() if payload.type not in PayloadType.__members__.values():
            return f"PAYLOAD({payload.type})"
    return name_of(PayloadType, payload.type)


def summary(message: Message, inner: Iterable[Payload] | None = None) -> str:
    """``IKE_SA_INIT request 0: SA KE Ni N(COOKIE)``.

    ``inner`` are the decrypted payloads of an SK payload, shown in its braces.
    """
    if message.headerless:
        return f"{len(message.trailing)} octets, too short for IKE"
    response = message.is_response
    names = [payload_name(payload, is_response=response) for payload in message.payloads]
    if inner is not None:
        shown = " ".join(payload_name(payload, is_response=response) for payload in inner)
        names = [f"SK{{{shown}}}" if name.startswith("SK") else name for name in names]
    if message.trailing:
        names.append(f"+{len(message.trailing)} octets")
    direction = "response" if response else "request"
    version = "" if message.major == 2 else f" (version {message.major}.{message.minor})"
    head = f"{name_of(ExchangeType, message.exchange_type)} {direction} {message.message_id}{version}:"
    return " ".join([head, *names])


def describe(message: Message, inner: Iterable[Payload] | None = None) -> list[Line]:
    """The decoded tree of a message; ``inner`` are the decrypted payloads of its SK payload."""
    lines = [Line(0, summary(message, inner))]
    if message.headerless:
        return [*lines, Line(1, message.trailing.hex())]
    flags = " | ".join(str(flag.name) for flag in HeaderFlag if message.flags & flag) or "none"
    lines += [
        Line(1, f"SPIs: initiator {message.initiator_spi.hex()}, responder {message.responder_spi.hex()}"),
        Line(1, f"version {message.major}.{message.minor}, flags {message.flags:#04x} ({flags})"),
    ]
    lines += _forced(message, message.FIELDS, 1)
    for payload in message.payloads:
        lines += _payload(payload, 1, is_response=message.is_response)
        if inner is not None and isinstance(payload, SK | SKF):
            lines += describe_payloads(inner, is_response=message.is_response, depth=2)
    if message.trailing:
        lines.append(Line(1, f"trailing: {_octets(message.trailing)}"))
    lines += [Line(1, f"! {anomaly}") for anomaly in message.anomalies]
    return lines


def describe_payloads(items: Iterable[Payload], *, is_response: bool = False, depth: int = 0) -> list[Line]:
    """The decoded tree of a payload chain."""
    return [line for payload in items for line in _payload(payload, depth, is_response=is_response)]


def _payload(payload: Payload, depth: int, *, is_response: bool) -> list[Line]:
    marks = " critical" if payload.critical else ""
    if payload.reserved:
        marks += f" reserved={payload.reserved:#04x}"
    lines = [Line(depth, payload_name(payload, is_response=is_response) + marks)]
    lines += _forced(payload, GENERIC_HEADER, depth + 1)
    return lines + _fields(payload, payload.FIELDS, depth + 1)


def _forced(structure: Any, fields: tuple[Field, ...], depth: int) -> list[Line]:
    """Lines of the automatic fields that carry a number of their own."""
    values = [(field.name, getattr(structure, field.name)) for field in fields if field.automatic]
    return [Line(depth, f"{name}: {value} (forced)") for name, value in values if value is not None]


def _fields(structure: Any, fields: tuple[Field, ...], depth: int) -> list[Line]:
    lines = _forced(structure, fields, depth)
    for field in fields:
        value = getattr(structure, field.name)
        if field.automatic or (field.name.startswith(("reserved", "body_reserved", "trailing", "spi")) and not value):
            continue
        if field.form is Form.STRUCTURES:
            for item in value:
                lines += _structure(item, field.name.removesuffix("s"), depth)
        else:
            lines.append(Line(depth, f"{field.name}: {_value(field, value)}"))
    return lines


def _structure(structure: Any, name: str, depth: int) -> list[Line]:
    if isinstance(structure, Transform):
        lines = [Line(depth, _transform(structure))]
        rest = [f for f in structure.FIELDS if f.automatic or f.name in {"reserved", "reserved2", "trailing"}]
        return lines + _fields(structure, tuple(rest), depth + 1)
    if isinstance(structure, TrafficSelector):
        return [Line(depth, str(structure)), *_forced(structure, structure.FIELDS, depth + 1)]
    return [Line(depth, name), *_fields(structure, structure.FIELDS, depth + 1)]


def _transform(transform: Transform) -> str:
    attributes = "".join(
        f", {'key length' if a.type == 14 else f'attribute {a.type}'} "
        f"{a.value if isinstance(a.value, int) else a.value.hex()}"
        for a in transform.attributes
    )
    kind = name_of(TransformType, transform.type)
    return f"transform {kind} {transform_name(transform.type, transform.id)}{attributes}"


def _value(field: Field, value: Any) -> str:
    if field.form is Form.OCTETS:
        return _octets(value)
    if field.form is Form.OCTETS_LIST:
        return " ".join(item.hex() for item in value)
    return f"{name_of(field.names, value)} ({value})" if field.names else str(value)


def _octets(value: bytes) -> str:
    shown = value[:_SHOWN_OCTETS].hex()
    return f"{shown}... ({len(value)} octets)" if len(value) > _SHOWN_OCTETS else shown
