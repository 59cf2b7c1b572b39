"""tshark finds the same fields with the same values at the same octets."""

import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from ipsectest import wire
from ipsectest.base.addresses import Address, Datagram
from ipsectest.layers import ip_packet
from tests.unit.wire import samples
from tests.unit.wire.generated import well_formed

HEADERS_BEFORE_IKE = 14 + 20 + 8
Fact = tuple[str, int, int, int | None]
"""tshark's field name, first octet, octets, and the number where the field is one."""

HEADER = {
    "initiator_spi": "ispi",
    "responder_spi": "rspi",
    "next_payload": "nextpayload",
    "exchange_type": "exchangetype",
    "flags": "flags",
    "message_id": "messageid",
    "length": "length",
}
GENERIC = {"next_payload": "nextpayload", "length": "payloadlength"}
BODIES: dict[type, dict[str, str]] = {
    wire.KE: {"group": "key_exchange.dh_group", "data": "key_exchange.data"},
    wire.IDi: {"id_type": "id.type"},
    wire.IDr: {"id_type": "id.type"},
    wire.CERT: {"encoding": "cert.encoding"},
    wire.CERTREQ: {"encoding": "certreq.type"},
    wire.AUTH: {"method": "auth.method", "data": "auth.data"},
    wire.Nonce: {"data": "nonce"},
    wire.Notify: {"protocol": "notify.protoid", "spi_size": "spisize", "notify_type": "notify.msgtype"},
    wire.Delete: {"protocol": "delete.protoid", "spi_size": "spisize", "count": "spinum"},
    wire.SKF: {"fragment": "frag.number", "total": "frag.total"},
    wire.TSi: {"count": "ts.number"},
    wire.TSr: {"count": "ts.number"},
    wire.CP: {"cfg_type": "cfg.type"},
    wire.Proposal: {
        "last_substructure": "nextpayload",
        "length": "payloadlength",
        "number": "prop.number",
        "protocol": "prop.protoid",
        "spi_size": "spisize",
        "count": "prop.transforms",
    },
    wire.Transform: {"last_substructure": "nextpayload", "length": "payloadlength", "type": "tf.type"},
    wire.TrafficSelector: {
        "ts_type": "ts.type",
        "protocol": "ts.protoid",
        "length": "ts.selector_length",
        "start_port": "ts.start_port",
        "end_port": "ts.end_port",
    },
    wire.ConfigurationAttribute: {"length": "cfg.attr.length"},
}
TRANSFORM_IDS = {1: "tf.id.encr", 2: "tf.id.prf", 3: "tf.id.integ", 4: "tf.id.dh", 5: "tf.id.esn"}
NUMBERS = {name for table in (HEADER, GENERIC, *BODIES.values()) for name in table.values()}
NUMBERS |= {*TRANSFORM_IDS.values(), "typepayload", "ike2.attr.key_length"}
NUMBERS -= {"ispi", "rspi", "nonce", "key_exchange.data", "auth.data"}
COMPARED = NUMBERS | {"ispi", "rspi", "nonce", "key_exchange.data", "auth.data", "ts.start_ipv4", "ts.start_ipv6"}


def our_facts(message: wire.Message) -> Iterator[Fact]:
    """The same facts from our spans; numbers are read from the octets of the span."""
    data, spans = message.raw, message.spans

    def fact(path: str, name: str, value: int | None = None) -> Fact:
        start, end = spans[path]
        number = int.from_bytes(data[start:end]) if name in NUMBERS else None
        return name, start, end - start, number if value is None else value

    yield from (fact(path, name) for path, name in HEADER.items())
    for place, payload in enumerate(message.payloads):
        at = f"payloads[{place}]"
        yield fact(at, "typepayload", payload.type)
        yield from (fact(f"{at}.{field}", name) for field, name in {**GENERIC, **BODIES.get(type(payload), {})}.items())
        if isinstance(payload, wire.SA):
            for number, proposal in enumerate(payload.proposals):
                yield from proposal_facts(fact, f"{at}.proposals[{number}]", proposal)
        for number, selector in enumerate(getattr(payload, "selectors", ())):
            inner = f"{at}.selectors[{number}]"
            yield from (fact(f"{inner}.{field}", name) for field, name in BODIES[wire.TrafficSelector].items())
            yield fact(f"{inner}.start", "ts.start_ipv4" if selector.ts_type == 7 else "ts.start_ipv6")
        for number in range(len(payload.attributes) if isinstance(payload, wire.CP) else 0):
            yield fact(f"{at}.attributes[{number}].length", "cfg.attr.length")


def proposal_facts(fact: object, path: str, proposal: wire.Proposal) -> Iterator[Fact]:
    """Proposal and transforms, which tshark shows as payloads of types 2 and 3."""
    yield fact(path, "typepayload", 2)
    yield from (fact(f"{path}.{field}", name) for field, name in BODIES[wire.Proposal].items())
    for place, transform in enumerate(proposal.transforms):
        inner = f"{path}.transforms[{place}]"
        yield fact(inner, "typepayload", 3)
        yield from (fact(f"{inner}.{field}", name) for field, name in BODIES[wire.Transform].items())
        if transform.type in TRANSFORM_IDS:
            yield fact(f"{inner}.id", TRANSFORM_IDS[transform.type])
        if transform.attributes:
            yield fact(f"{inner}.attributes[0].value", "ike2.attr.key_length")


def their_facts(packet: ET.Element) -> Iterator[Fact]:
    """What tshark's PDML says of the IKE part of a packet."""
    for field in packet.iterfind("proto[@name='isakmp']//field"):
        name = field.get("name", "").removeprefix("isakmp.")
        if name in COMPARED:
            number = int(field.get("show", ""), 0) if name in NUMBERS else None
            yield name, int(field.get("pos", "")) - HEADERS_BEFORE_IKE, int(field.get("size", "")), number


@pytest.fixture(scope="module")
def tshark() -> str:
    path = shutil.which("tshark")
    if path is None:
        pytest.skip("tshark is not installed (script/bootstrap installs it)")
    return path


def test_fields_values_and_octets_agree(tshark: str, tmp_path: Path) -> None:
    rng = random.Random(4718)
    messages = [message for name, message in samples.MESSAGES.items() if name != "rare"]
    messages += [well_formed(rng) for _ in range(300)]
    ends = Address("192.0.2.1", 500), Address("192.0.2.2", 500)
    ethernet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    capture = tmp_path / "messages.pcap"
    octets = [wire.build_message(message) for message in messages]
    wrpcap(str(capture), [ethernet / ip_packet(Datagram(data, *ends)) for data in octets])
    command = [tshark, "-r", str(capture), "-T", "pdml", "--disable-protocol", "eap"]
    pdml = subprocess.run(command, capture_output=True, check=True, timeout=120).stdout
    packets = list(ET.fromstring(pdml).iterfind("packet"))
    assert len(packets) == len(messages)
    compared: Counter[str] = Counter()
    for data, packet in zip(octets, packets, strict=True):
        message = wire.parse_message(data)
        ours, theirs = Counter(our_facts(message)), Counter(their_facts(packet))
        assert ours == theirs, wire.summary(message)
        compared.update(name for name, *_ in theirs.elements())
    assert compared.keys() == COMPARED
    assert compared.total() > 15_000
