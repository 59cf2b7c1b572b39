"""The Scapy face: what a Scapy user expects, with the octets of wire."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw, fuzz
from scapy.sendrecv import sniff
from scapy.utils import rdpcap, wrpcap

from ipsectest import layers, wire
from ipsectest.base.errors import UsageError
from ipsectest.layers import IKEv2, from_message, to_message
from tests.unit.wire import samples

ETHERNET = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
MESSAGES = samples.MESSAGES


@pytest.fixture(autouse=True)
def bound() -> Iterator[None]:
    layers.bind()
    yield
    layers.unbind()


def sa_init() -> IKEv2:
    proposal = layers.IKEv2_Proposal(
        transforms=[
            layers.IKEv2_Transform(type="ENCR", id="ENCR_AES_GCM_16", attributes=[layers.IKEv2_Attribute(value=256)]),
            layers.IKEv2_Transform(type="PRF", id="PRF_HMAC_SHA2_256"),
            layers.IKEv2_Transform(type="KE", id="CURVE25519"),
        ]
    )
    head = IKEv2(initiator_spi=samples.SPI_I, exchange_type="IKE_SA_INIT", flags="I")
    return (
        head
        / layers.IKEv2_SA(proposals=[proposal])
        / layers.IKEv2_KE(data=bytes(32))
        / layers.IKEv2_Nonce(data=bytes(16))
    )


@pytest.mark.parametrize("name", MESSAGES)
def test_layers_and_messages_are_two_faces_of_the_same_octets(name: str) -> None:
    octets = wire.build_message(MESSAGES[name])
    packet = IKEv2(octets)
    assert bytes(packet) == octets
    assert to_message(packet) == MESSAGES[name]
    assert bytes(from_message(MESSAGES[name])) == octets
    assert bytes(packet.copy()) == octets


def test_stacked_layers_fill_in_what_is_not_given() -> None:
    message = to_message(sa_init())
    assert message == samples.request(
        34,
        wire.SA([samples.proposal(1, 1, "aes256gcm16-prfsha256-x25519")]),
        wire.KE(31, bytes(32)),
        wire.Nonce(bytes(16)),
    )
    assert wire.parse_message(bytes(sa_init())).anomalies == ()


def test_forced_numbers_are_written_as_given() -> None:
    packet = IKEv2(length=7, next_payload=99) / layers.IKEv2_Nonce(data=b"abcd", length=3, critical=1)
    assert bytes(packet)[16] == 99
    assert bytes(packet)[24:] == bytes.fromhex("00000007 00800003 61626364")


def test_an_edit_after_dissection_keeps_lengths_right() -> None:
    packet = IKEv2(bytes(sa_init()))
    packet[layers.IKEv2_Nonce].data = bytes(40)
    again = wire.parse_message(bytes(packet))
    assert again.anomalies == ()
    assert again.get(wire.Nonce) == wire.Nonce(bytes(40))


def test_show_names_numbers_and_computes_automatic_fields() -> None:
    text = sa_init().show(dump=True)
    assert "ENCR_AES_GCM_16 (20)" in text
    assert "IKE_SA_INIT (34)" in text
    assert "SA (33) [auto]" in text
    assert f"{len(bytes(sa_init()))} [auto]" in text
    assert "CURVE25519 (31)" in sa_init().show2(dump=True)


def test_every_payload_layer_shows_its_own_length() -> None:
    for message in MESSAGES.values():
        packet = from_message(message)
        spans = message.spans
        for place, layer in enumerate(packet.iterpayloads() if message.payloads else ()):
            if place:
                start, end = spans[f"payloads[{place - 1}]"]
                assert layer.automatic("length") == end - start


def test_a_misspelt_name_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="did you mean 'COOKIE'"):
        layers.IKEv2_Notify(notify_type="COKIE")
    with pytest.raises(UsageError, match="did you mean 'ENCR_AES_CBC'"):
        layers.IKEv2_Transform(type="ENCR", id="ENCR_AES_CBX")


def test_addresses_may_be_text() -> None:
    selector = layers.IKEv2_TrafficSelector(ts_type=8, start="2001:db8::", end="2001:db8::ffff")
    message = to_message(IKEv2() / layers.IKEv2_TSi(selectors=[selector]))
    assert message.get(wire.TSi) == wire.TSi([wire.TrafficSelector.of("2001:db8::/112")])
    value = layers.IKEv2_ConfigurationAttribute(value="192.0.2.1")
    assert value.to_wire().value == bytes((192, 0, 2, 1))
    assert layers.IKEv2_IDi(data="gw.example.org").to_wire().data == b"gw.example.org"


def test_answers_ties_response_to_request() -> None:
    request = IKEv2(bytes(sa_init()))
    response = IKEv2(wire.build_message(MESSAGES["sa_init_response"]))
    assert response.hashret() == request.hashret()
    assert response.answers(request)
    assert not request.answers(request)
    assert not request.answers(response)
    response.message_id = 1
    assert not response.answers(request)


def test_fuzz_randomises_and_settles() -> None:
    random.seed(7)
    fuzzed = fuzz(sa_init())
    assert len({bytes(fuzzed) for _ in range(5)}) > 1
    settled = next(iter(fuzzed))
    first, second = bytes(settled), bytes(settled)
    assert first == second
    assert isinstance(to_message(settled).get(wire.SA), wire.SA)


def test_a_list_of_values_stands_for_several_packets() -> None:
    packets = list(IKEv2(message_id=[1, 2, 3]) / layers.IKEv2_Nonce(data=b"n" * 16))
    assert [wire.parse_message(bytes(packet)).message_id for packet in packets] == [1, 2, 3]


def test_ports_500_and_4500_are_dissected_over_ipv4_and_ipv6(tmp_path: Path) -> None:
    ike = sa_init()
    packets = [
        ETHERNET / IP(src="192.0.2.1", dst="192.0.2.2") / UDP() / ike,
        ETHERNET / IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=33333, dport=500) / ike,
        ETHERNET / IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=4500, dport=4500) / layers.NON_ESP() / ike,
        ETHERNET / IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=4500, dport=4500) / layers.NAT_KEEPALIVE(),
        ETHERNET
        / IP(src="192.0.2.1", dst="192.0.2.2")
        / UDP(sport=4500, dport=4500)
        / layers.ESP(spi=5, seq=1, data=b"x" * 20),
        ETHERNET / IP(src="192.0.2.1", dst="192.0.2.2") / layers.ESP(spi=5, seq=1, data=b"x" * 20),
        ETHERNET / IP(src="192.0.2.1", dst="192.0.2.2") / layers.AH(spi=6, seq=1, icv=bytes(12), payloadlen=4, nh=59),
    ]
    path = str(tmp_path / "layers.pcap")
    wrpcap(path, packets)
    read = list(rdpcap(path))
    assert packets[0][UDP].dport == 500
    for packet in read[:3]:
        assert to_message(packet) == to_message(ike)
    assert layers.NAT_KEEPALIVE in read[3]
    assert layers.ESP in read[4]
    assert layers.ESP in read[5]
    assert layers.AH in read[6]
    assert [bytes(packet) for packet in read] == [bytes(packet) for packet in packets]
    sniffed = sniff(offline=path, lfilter=lambda packet: IKEv2 in packet and packet[IKEv2].flags.I)
    assert len(sniffed) == 3


def test_a_response_answers_its_request_through_ip_and_udp() -> None:
    request = IP(src="192.0.2.1", dst="192.0.2.2") / UDP() / sa_init()
    response = IP(src="192.0.2.2", dst="192.0.2.1") / UDP() / from_message(MESSAGES["sa_init_response"])
    request, response = IP(bytes(request)), IP(bytes(response))
    assert response.hashret() == request.hashret()
    assert response.answers(request)
    assert not request.answers(response)


def test_payloads_behind_which_anything_may_follow() -> None:
    packet = IKEv2() / layers.IKEv2_Nonce(data=b"n" * 16) / Raw(b"rest")
    assert to_message(packet).trailing == b"rest"
    assert bytes(packet.copy()).endswith(b"nrest")
    assert bytes(next(iter(packet))) == bytes(packet)
    with pytest.raises(ValueError, match="no IKEv2 layer"):
        to_message(IP() / UDP())


def test_wrong_octets_for_a_layer_stay_raw() -> None:
    assert layers.IKEv2_Nonce(b"ab").payload.load == b"ab"
    assert layers.IKEv2_Transform(b"ab").payload.load == b"ab"


def test_fuzz_reaches_structures_and_octets() -> None:
    selectors = layers.IKEv2_TSi(selectors=[layers.IKEv2_TrafficSelector()])
    random.seed(11)
    packet = next(iter(fuzz(IKEv2() / selectors / layers.IKEv2_Nonce())))
    assert len({bytes(packet) for _ in range(3)}) == 1
    assert packet[layers.IKEv2_TSi].selectors[0].protocol != 0
    fuzzed = fuzz(layers.IKEv2_Attribute())
    assert "RandNum" in repr(fuzzed.getfieldval("value"))


def test_octets_are_shown_for_reading() -> None:
    text = (IKEv2() / layers.IKEv2_Nonce(data=bytes(100)) / layers.IKEv2_Delete(spis=b"spi!")).show(dump=True)
    assert "00... (100 octets)" in text
    assert "[73706921]" in text
    assert "192.0.2.1" in layers.IKEv2_TrafficSelector(start="192.0.2.1").show(dump=True)
    assert "0102" in layers.IKEv2_Attribute(value=b"\x01\x02").show(dump=True)
    assert layers.IKEv2_Nonce(data=bytearray(b"ab")).data == b"ab"


def test_unbind_gives_the_port_back_to_isakmp() -> None:
    octets = bytes(IP(src="192.0.2.1", dst="192.0.2.2") / UDP() / sa_init())
    assert IKEv2 in IP(octets)
    layers.unbind()
    assert IKEv2 not in IP(octets)
    layers.bind()
    layers.bind()
    assert IKEv2 in IP(octets)


def test_version_one_and_short_octets_are_not_ikev2() -> None:
    octets = bytearray(bytes(sa_init()))
    octets[17] = 0x10
    assert IKEv2 not in IP(bytes(IP() / UDP(sport=500, dport=500) / Raw(bytes(octets))))
    assert IKEv2(b"short").load == b"short"


def test_sixteen_thousand_payloads_are_walked_without_recursion() -> None:
    octets = wire.build_message(samples.request(37, *[wire.Nonce(b"") for _ in range(16_000)]))
    packet = IP(bytes(IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=500, dport=500) / Raw(octets)))
    assert len(to_message(packet).payloads) == 16_000
    assert bytes(packet[IKEv2]) == octets
    assert bytes(packet[IKEv2].copy()) == octets
    packet[IKEv2].message_id = 9
    assert wire.parse_message(bytes(packet)[28:]).message_id == 9
    assert "request" in packet.summary()


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(MESSAGES)), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6))
def test_damaged_messages_come_back_through_the_layers(name: str, edits: list[tuple[int, int]]) -> None:
    octets = bytearray(wire.build_message(MESSAGES[name]))
    for at, value in edits:
        octets[at % len(octets)] = value
    if octets[17] >> 4 == 1:
        octets[17] = 0x20
    assert bytes(IKEv2(bytes(octets))) == bytes(octets)


@pytest.mark.parametrize(
    "kind", [wire.Proposal, wire.Transform, wire.TrafficSelector, wire.ConfigurationAttribute, wire.Attribute]
)
def test_a_structure_is_a_packet_of_its_own(kind: type) -> None:
    samples_of = {
        wire.Proposal: (layers.IKEv2_Proposal, samples.proposal(1, 3, "aes256-sha256", b"spi!")),
        wire.Transform: (layers.IKEv2_Transform, samples.proposal(1, 3, "aes256").transforms[0]),
        wire.TrafficSelector: (layers.IKEv2_TrafficSelector, samples.IPV6_SELECTORS[0]),
        wire.ConfigurationAttribute: (layers.IKEv2_ConfigurationAttribute, wire.ConfigurationAttribute(1, bytes(4))),
        wire.Attribute: (layers.IKEv2_Attribute, wire.Attribute(77, b"octets")),
    }
    layer, structure = samples_of[kind]
    octets = wire.build_structure(structure)
    assert layer(octets).to_wire() == structure
    assert bytes(layer(octets + b"more!")) == octets + b"more!"


def test_a_payload_can_be_read_on_its_own() -> None:
    chain = wire.build_payloads([wire.Nonce(b"n" * 16), wire.VendorID(b"v")])[1]
    packet = layers.IKEv2_Nonce(chain)
    assert packet[layers.IKEv2_VendorID].data == b"v"
    assert bytes(packet) == chain
