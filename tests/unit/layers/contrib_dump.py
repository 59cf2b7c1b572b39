"""Dissect messages with scapy.contrib.ikev2 and print what it sees: run as a program of its own.

Importing contrib rebinds UDP port 500 for the whole process, so the tests never do. Standard input:
one message per line in hexadecimal digits; standard output: one JSON list of layers per line.
"""

import json
import sys
from typing import Any

from scapy.contrib import ikev2
from scapy.packet import Packet

FIELDS: dict[type[Packet], tuple[str, ...]] = {
    ikev2.IKEv2: ("init_SPI", "resp_SPI", "exch_type", "flags", "id", "length", "next_payload"),
    ikev2.IKEv2_KE: ("group", "ke"),
    ikev2.IKEv2_AUTH: ("auth_type", "load"),
    ikev2.IKEv2_Nonce: ("nonce",),
    ikev2.IKEv2_Notify: ("proto", "SPIsize", "type", "SPI", "notify"),
    ikev2.IKEv2_Delete: ("proto", "SPIsize", "SPInum", "SPI"),
    ikev2.IKEv2_VendorID: ("vendorID",),
    ikev2.IKEv2_CERTREQ: ("cert_encoding", "cert_authority"),
    ikev2.IKEv2_Encrypted: ("load",),
    ikev2.IKEv2_Encrypted_Fragment: ("frag_number", "frag_total", "load"),
    ikev2.IKEv2_EAP: ("load",),
    ikev2.IKEv2_IDi: ("IDtype",),
    ikev2.IKEv2_IDr: ("IDtype",),
}


def plain(value: Any) -> Any:
    """Octets as hexadecimal digits, lists of them likewise."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return value.encode().hex()
    return value.hex() if isinstance(value, bytes) else int(value)


def chain(layer: Packet) -> list[Packet]:
    """A chain of layers as a list."""
    layers = []
    while layer:
        layers.append(layer)
        layer = layer.payload
    return layers


def proposal(layer: Packet) -> dict[str, Any]:
    """A proposal with its transforms."""
    transforms = [
        [t.next_payload, t.length, t.transform_type, t.transform_id, t.key_length if t.length > 8 else None]
        for t in chain(layer.trans)
    ]
    numbers = [layer.next_payload, layer.length, layer.proposal, layer.proto, layer.SPIsize, layer.trans_nb]
    return {"numbers": numbers, "spi": plain(layer.SPI), "transforms": transforms}


def selector(layer: Packet) -> list[Any]:
    """A traffic selector."""
    six = layer.TS_type == 8
    ends = (
        [layer.starting_address_v6, layer.ending_address_v6]
        if six
        else [layer.starting_address_v4, layer.ending_address_v4]
    )
    return [layer.TS_type, layer.IP_protocol_ID, layer.length, layer.start_port, layer.end_port, *ends]


def dump(layer: Packet) -> dict[str, Any]:
    """One layer: its class, its generic header, and what FIELDS names."""
    seen: dict[str, Any] = {"layer": type(layer).__name__}
    if not isinstance(layer, ikev2.IKEv2):
        seen["generic"] = [layer.next_payload, int(layer.flags), layer.length]
    seen["fields"] = [plain(layer.getfieldval(name)) for name in FIELDS.get(type(layer), ())]
    if isinstance(layer, ikev2.IKEv2_SA):
        seen["proposals"] = [proposal(item) for item in chain(layer.prop)]
    if isinstance(layer, ikev2.IKEv2_TSi | ikev2.IKEv2_TSr):
        seen["selectors"] = [selector(item) for item in layer.traffic_selector]
    if isinstance(layer, ikev2.IKEv2_CP):
        seen["attributes"] = [[layer.CFGType], *[[item.type, item.length] for item in layer.attributes]]
    return seen


for line in sys.stdin:
    sys.stdout.write(json.dumps([dump(layer) for layer in chain(ikev2.IKEv2(bytes.fromhex(line)))]) + "\n")
