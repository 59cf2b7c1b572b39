"""JSON lines: one object for each inner packet and each IKE message, octets in hexadecimal."""

import json
import re
from enum import IntEnum
from pathlib import Path
from typing import Any, TextIO

from ipsectest.base.iana import ExchangeType, name_of
from ipsectest.base.iana_ikev1 import ExchangeV1, PayloadV1
from ipsectest.decrypt.frames import Frame
from ipsectest.decrypt.ike import Opened
from ipsectest.decrypt.ikev1 import OpenedV1
from ipsectest.decrypt.output import why
from ipsectest.decrypt.unwrap import Unwrapped
from ipsectest.wire import Payload, payload_name
from ipsectest.wire.datagrams import host_text
from ipsectest.wire.fields import Field, Form
from ipsectest.wire.ip import parse_ip

SCHEMA_FILE = Path(__file__).with_name("jsonl.schema.json")
"""What a line is, as JSON Schema."""


_NUMBER = re.compile(r'^(\{"type":"[a-z]+","frame":)([0-9]+)', re.MULTILINE)


class JsonLines:
    """Writes to an open text file; every line is complete."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._written = 0
        """Characters since the place that was noted."""
        self._left = 0
        """Of those that come next, the ones that are there already."""

    def packet(self, frame: Frame, unwrapped: Unwrapped) -> None:
        """An ESP or AH packet: its SAs, outermost first, and the innermost packet or why there is none."""
        inner = parse_ip(unwrapped.packet) if unwrapped.packet else None
        line: dict[str, Any] = {
            **_head("packet", frame),
            "sas": [
                {
                    "spi": layer.sa.association.spi.hex(),
                    "sequence": layer.sequence,
                    "suite": layer.sa.suite,
                    "verified": layer.sa.verified and layer.sa.association.has_integrity,
                    "replay": not layer.is_new,
                }
                for layer in unwrapped.layers
            ],
        }
        if inner:
            line["inner"] = {
                "source": host_text(inner.source),
                "destination": host_text(inner.destination),
                "protocol": inner.protocol,
                "length": len(unwrapped.packet),
                "octets": unwrapped.packet.hex(),
            }
        if unwrapped.compression:
            line["compression"] = unwrapped.compression
        if unwrapped.failure:
            line["failure"] = {
                "reason": unwrapped.failure.reason.value,
                "text": why(unwrapped.failure.reason, unwrapped.failure.spi),
            }
        self._write(line)

    def message(self, frame: Frame, opened: Opened | OpenedV1) -> None:
        """An IKE message with its payloads in clear, or why they are not."""
        if isinstance(opened, OpenedV1):
            self._write({**_head("ike", frame), **_ikev1(opened)})
            return
        message = opened.message
        line: dict[str, Any] = {
            **_head("ike", frame),
            "spi_i": message.initiator_spi.hex(),
            "spi_r": message.responder_spi.hex(),
            "version": f"{message.major}.{message.minor}",
            "exchange": name_of(ExchangeType, message.exchange_type),
            "response": message.is_response,
            "message_id": message.message_id,
            "encrypted": opened.is_encrypted,
            "payloads": [_payload(payload, response=message.is_response) for payload in opened.payloads],
        }
        if opened.anomalies:
            line["anomalies"] = [{"code": str(one.code), "text": one.text} for one in opened.anomalies]
        if opened.failure:
            line["failure"] = {"reason": "ike", "text": opened.failure}
        self._write(line)

    def lines(self, octets: bytes) -> None:
        """Lines that another run wrote, in UTF-8."""
        self._put(octets.decode())

    def flush(self) -> None:
        """Let whoever reads have what was written."""
        self._file.flush()

    def begin(self) -> None:
        """Note the place: ``pass_over`` comes back to it."""
        self._left = self._written = 0

    def pass_over(self) -> None:
        """Begin anew: what comes first now was written already."""
        self._left, self._written = self._written, 0

    def _write(self, line: dict[str, Any]) -> None:
        self._put(json.dumps(line, separators=(",", ":")) + "\n")

    def _put(self, text: str) -> None:
        if self._left:
            text, self._left = text[self._left :], max(0, self._left - len(text))
        self._written += len(text)
        self._file.write(text)


def counted_on(lines: str, frames: int) -> str:
    """Lines of a part of a capture, with the numbers that frames have behind so many others."""
    return _NUMBER.sub(lambda found: f"{found[1]}{int(found[2]) + frames}", lines) if frames else lines


def _head(kind: str, frame: Frame) -> dict[str, Any]:
    return {"type": kind, "frame": frame.number, "nanoseconds": frame.nanoseconds, "interface": frame.interface}


def _ikev1(opened: OpenedV1) -> dict[str, Any]:
    """A message of IKEv1; payloads are told by name and octets."""
    message = opened.message
    line: dict[str, Any] = {
        "spi_i": message.cookie_i.hex(),
        "spi_r": message.cookie_r.hex(),
        "version": f"{message.data[17] >> 4}.{message.data[17] & 15}",
        "exchange": name_of(ExchangeV1, message.exchange),
        "message_id": message.message_id,
        "encrypted": opened.is_encrypted,
        "payloads": [
            {"payload": name_of(PayloadV1, part.type), "type": part.type, "data": part.body.hex()}
            for part in opened.parts
        ],
    }
    if opened.failure:
        line["failure"] = {"reason": "ike", "text": opened.failure}
    return line


def _payload(payload: Payload, *, response: bool) -> dict[str, Any]:
    return {
        "payload": payload_name(payload, is_response=response),
        "type": payload.type,
        "critical": payload.critical,
        **_fields(payload, payload.FIELDS),
    }


def _fields(structure: Any, table: tuple[Field, ...]) -> dict[str, Any]:
    """The fields of a payload or structure by name; empty ones, and numbers that a builder fills in, are left out."""
    values: dict[str, Any] = {}
    for one in table:
        value = getattr(structure, one.name, None)
        if value is None or value == b"" or ("reserved" in one.name and not value):
            continue
        values[one.name] = _value(one, value)
    return values


def _value(one: Field, value: Any) -> Any:
    match one.form:
        case Form.OCTETS:
            return bytes(value).hex() if not isinstance(value, int) else value
        case Form.OCTETS_LIST:
            return [bytes(octets).hex() for octets in value]
        case Form.STRUCTURES:
            return [_fields(structure, structure.FIELDS) for structure in value]
    if one.names and isinstance(value, int):
        return {"number": value, "name": _name(one.names, value)}
    return value


def _name(names: type[IntEnum], number: int) -> str:
    return name_of(names, number)
