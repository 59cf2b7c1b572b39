"""Where each field of a message lies: a walk over the decoded objects along their field tables.

Computed only when asked for, so that parsing stays fast; it needs no octets, because the codec
loses none.
"""

from collections.abc import Iterable
from typing import Any

from ipsectest.wire.fields import Field, Form
from ipsectest.wire.payloads import GENERIC_HEADER, Payload

Span = tuple[int, int]
"""First octet and the one behind the last."""


def message_spans(message: Any) -> dict[str, Span]:
    """Spans of a Message by dotted path, such as ``payloads[0].proposals[1].transforms[2].id``."""
    if message.headerless:
        return {"trailing": (0, len(message.trailing))}
    spans: dict[str, Span] = {}
    position = _structure(message, message.FIELDS, "", 0, spans)
    position = _chain(message.payloads, position, spans)
    if message.trailing:
        spans["trailing"] = (position, position + len(message.trailing))
    return spans


def chain_spans(items: Iterable[Payload]) -> dict[str, Span]:
    """Spans of a payload chain, counted from its first octet; paths begin with ``payloads[n]``."""
    spans: dict[str, Span] = {}
    _chain(items, 0, spans)
    return spans


def _chain(items: Iterable[Payload], position: int, spans: dict[str, Span]) -> int:
    for place, payload in enumerate(items):
        path = f"payloads[{place}]"
        body = _structure(payload, GENERIC_HEADER, f"{path}.", position, spans)
        end = _structure(payload, payload.FIELDS, f"{path}.", body, spans)
        if payload.trailing and f"{path}.trailing" not in spans:
            spans[f"{path}.trailing"] = (end, end + len(payload.trailing))
            end += len(payload.trailing)
        spans[path] = (position, end)
        position = end
    return position


def _structure(structure: Any, fields: tuple[Field, ...], path: str, position: int, spans: dict[str, Span]) -> int:
    """Note the spans of one structure's fields; the nesting of the wire bounds the recursion at three."""
    start = position
    for field in fields:
        if field.shared:
            spans[path + field.name] = (start, position)
            continue
        start = position
        value = getattr(structure, field.name)
        if field.width:
            position += len(value) if field.form is Form.OCTETS else field.width
        elif field.form is Form.OCTETS:
            position += len(value)
        else:
            for place, item in enumerate(value):
                inner = f"{path}{field.name}[{place}]"
                begin = position
                if field.form is Form.OCTETS_LIST:
                    position += len(item)
                else:
                    position = _structure(item, item.FIELDS, f"{inner}.", position, spans)
                spans[inner] = (begin, position)
        spans[path + field.name] = (start, position)
    return position
