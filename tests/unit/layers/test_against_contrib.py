"""scapy.contrib.ikev2 dissects well-formed messages to the same values.

Left out are the messages that meet its known faults: attributes in TLV form (read as key lengths),
traffic selectors of unknown types (they swallow those behind them) and unknown payloads.
"""

import ipaddress
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from ipsectest import wire
from tests.unit.wire import samples
from tests.unit.wire.generated import well_formed

LAYER_NAMES = {
    wire.SK: "IKEv2_Encrypted",
    wire.SKF: "IKEv2_Encrypted_Fragment",
}


def computed(message: wire.Message, path: str) -> int:
    """The number on the wire of an automatic field."""
    start, end = message.spans[path]
    return int.from_bytes(message.raw[start:end])


def body(payload: wire.Payload, numbers: dict[str, int]) -> list[Any]:  # noqa: PLR0911 - one case for each layout
    match payload:
        case wire.KE():
            return [payload.group, payload.data.hex()]
        case wire.AUTH():
            return [payload.method, payload.data.hex()]
        case wire.Nonce() | wire.VendorID() | wire.SK():
            return [payload.data.hex()]
        case wire.Notify():
            return [payload.protocol, numbers["spi_size"], payload.notify_type, payload.spi.hex(), payload.data.hex()]
        case wire.Delete():
            return [payload.protocol, numbers["spi_size"], numbers["count"], [spi.hex() for spi in payload.spis]]
        case wire.CERTREQ():
            return [payload.encoding, payload.data.hex()]
        case wire.SKF():
            return [payload.fragment, payload.total, payload.data.hex()]
        case wire.IDi() | wire.IDr():
            return [payload.id_type]
        case wire.EAP():
            return [wire.build_payloads([payload])[1][4:].hex()]
    return []


def selector(item: wire.TrafficSelector, length: int) -> list[Any]:
    ends = [str(ipaddress.ip_address(address)) for address in (item.start, item.end)]
    return [item.ts_type, item.protocol, length, item.start_port, item.end_port, *ends]


def proposal(message: wire.Message, path: str, item: wire.Proposal) -> dict[str, Any]:
    names = ("last_substructure", "length", "number", "protocol", "spi_size", "count")
    transforms = [
        [
            *(
                computed(message, f"{path}.transforms[{n}].{name}")
                for name in ("last_substructure", "length", "type", "id")
            ),
            transform.key_length,
        ]
        for n, transform in enumerate(item.transforms)
    ]
    numbers = [computed(message, f"{path}.{name}") for name in names]
    return {"numbers": numbers, "spi": item.spi.hex(), "transforms": transforms}


def expected(message: wire.Message) -> list[dict[str, Any]]:
    """What contrib should see of a message."""
    numbers = [
        message.exchange_type,
        message.flags,
        message.message_id,
        len(message.raw),
        computed(message, "next_payload"),
    ]
    seen: list[dict[str, Any]] = [
        {"layer": "IKEv2", "fields": [message.initiator_spi.hex(), message.responder_spi.hex(), *numbers]}
    ]
    for place, payload in enumerate(message.payloads):
        at = f"payloads[{place}]"
        paths = {path.removeprefix(f"{at}."): path for path in message.spans if path.startswith(f"{at}.")}
        auto = {name: computed(message, path) for name, path in paths.items() if name in {"spi_size", "count"}}
        layer: dict[str, Any] = {
            "layer": LAYER_NAMES.get(type(payload), f"IKEv2_{type(payload).__name__}"),
            "generic": [
                computed(message, f"{at}.next_payload"),
                0x80 * payload.critical,
                computed(message, f"{at}.length"),
            ],
            "fields": body(payload, auto),
        }
        if isinstance(payload, wire.SA):
            layer["proposals"] = [
                proposal(message, f"{at}.proposals[{n}]", item) for n, item in enumerate(payload.proposals)
            ]
        if isinstance(payload, wire.TSi | wire.TSr):
            layer["selectors"] = [
                selector(item, computed(message, f"{at}.selectors[{n}].length"))
                for n, item in enumerate(payload.selectors)
            ]
        if isinstance(payload, wire.CP):
            layer["attributes"] = [[payload.cfg_type], *[[item.type, len(item.value)] for item in payload.attributes]]
        seen.append(layer)
    return seen


def test_contrib_sees_the_same_values() -> None:
    rng = random.Random(2409)
    messages = [message for name, message in samples.MESSAGES.items() if name not in {"rare", "auth_inner"}]
    messages += [well_formed(rng) for _ in range(300)]
    lines = "".join(wire.build_message(message).hex() + "\n" for message in messages)
    program = Path(__file__).with_name("contrib_dump.py")
    done = subprocess.run(
        [sys.executable, program], input=lines, capture_output=True, text=True, timeout=120, check=True
    )
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(seen) == len(messages)
    for message, layers in zip(messages, seen, strict=True):
        assert layers == expected(wire.parse_message(wire.build_message(message))), wire.summary(message)
