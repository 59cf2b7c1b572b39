"""Each kind of damage is noted, with the octets it lies in; nothing is noted on sound messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest import wire
from ipsectest.wire import AnomalyCode as Code
from tests.unit.wire import samples

TOLERATED = {Code.UNKNOWN_PAYLOAD, Code.UNKNOWN_CRITICAL_PAYLOAD}


def anomalies(message: wire.Message) -> list[tuple[Code, int, int]]:
    return [(a.code, a.start, a.end) for a in wire.parse_message(wire.build_message(message)).anomalies]


def init(*payloads: wire.Payload) -> wire.Message:
    return samples.request(34, *payloads)


@pytest.mark.parametrize("name", samples.MESSAGES)
def test_sound_messages_have_no_anomalies(name: str) -> None:
    parsed = wire.parse_message(wire.build_message(samples.MESSAGES[name]))
    assert {anomaly.code for anomaly in parsed.anomalies} <= (TOLERATED if name == "rare" else set())


NONCE = wire.Nonce(b"n" * 16)
FIRST_BODY = 32

DAMAGES: list[tuple[wire.Message, tuple[Code, int, int]]] = [
    (wire.Message(headerless=True, trailing=b"abc"), (Code.MESSAGE_TOO_SHORT, 0, 3)),
    (wire.Message(samples.SPI_I, length=27), (Code.LENGTH_TOO_SMALL, 24, 28)),
    (wire.Message(samples.SPI_I, length=99), (Code.LENGTH_BEYOND_CONTAINER, 24, 28)),
    (wire.Message(samples.SPI_I, length=28, trailing=b"xy"), (Code.TRAILING_OCTETS, 28, 30)),
    (wire.Message(samples.SPI_I, trailing=b"xy"), (Code.TRAILING_OCTETS, 28, 30)),
    (wire.Message(), (Code.ZERO_INITIATOR_SPI, 0, 8)),
    (wire.Message(samples.SPI_I, major=3), (Code.MAJOR_VERSION, 17, 18)),
    (wire.Message(samples.SPI_I, minor=1), (Code.MINOR_VERSION, 17, 18)),
    (wire.Message(samples.SPI_I, flags=0x18), (Code.VERSION_FLAG, 19, 20)),
    (wire.Message(samples.SPI_I, flags=0x48), (Code.RESERVED_SET, 19, 20)),
    (wire.Message(samples.SPI_I, samples.SPI_R, 34, 8), (Code.RESPONDER_SPI_IN_FIRST_REQUEST, 8, 16)),
    (wire.Message(samples.SPI_I, next_payload=40), (Code.LENGTH_BEYOND_CONTAINER, 28, 28)),
    (init(wire.Nonce(b"", length=3)), (Code.LENGTH_TOO_SMALL, 30, 32)),
    (init(wire.Nonce(b"n", length=400)), (Code.LENGTH_BEYOND_CONTAINER, 30, 32)),
    (init(wire.Nonce(b"n" * 16, reserved=5)), (Code.RESERVED_SET, 29, 30)),
    (init(wire.Nonce(b"n" * 16, critical=True)), (Code.KNOWN_PAYLOAD_CRITICAL, 29, 30)),
    (init(wire.UnknownPayload(77, b"u")), (Code.UNKNOWN_PAYLOAD, 28, 32)),
    (init(wire.UnknownPayload(77, b"u", critical=True)), (Code.UNKNOWN_CRITICAL_PAYLOAD, 28, 32)),
    (init(wire.Nonce(b"n" * 16, next_payload=41)), (Code.LENGTH_BEYOND_CONTAINER, 48, 48)),
    (init(wire.KE(31, b"k", body_reserved=1)), (Code.RESERVED_SET, 34, 36)),
    (init(wire.IDi(2, b"i", body_reserved=1)), (Code.RESERVED_SET, 33, 36)),
    (init(wire.Notify(1, spi=b"s", spi_size=9)), (Code.SPI_SIZE, 33, 34)),
    (init(wire.Delete(3, [b"spi1", b"spi2"], count=1)), (Code.COUNT_MISMATCH, 34, 36)),
    (init(wire.Delete(3, [b"spi1"], trailing=b"xy")), (Code.TRAILING_OCTETS, 40, 42)),
    (init(wire.TSi(samples.IPV4_SELECTORS, count=3)), (Code.COUNT_MISMATCH, 32, 33)),
    (init(wire.TSi([wire.OtherTrafficSelector(7, 0, b"abc")])), (Code.SELECTOR_LENGTH, 38, 40)),
    (init(wire.TSi([wire.OtherTrafficSelector(10, 0, b"abc", length=2)])), (Code.LENGTH_TOO_SMALL, 38, 40)),
    (init(wire.TSi([wire.OtherTrafficSelector(10, 0, b"abc", length=99)])), (Code.LENGTH_BEYOND_CONTAINER, 38, 40)),
    (init(wire.CP(1, [wire.ConfigurationAttribute(1, reserved=1)])), (Code.RESERVED_SET, 36, 37)),
    (init(wire.CP(1, [wire.ConfigurationAttribute(1, length=4)])), (Code.LENGTH_BEYOND_CONTAINER, 38, 40)),
    (init(wire.CP(1, trailing=b"abc")), (Code.TRAILING_OCTETS, 36, 39)),
    (init(wire.EAP(1, 2, b"abc", eap_length=3)), (Code.LENGTH_TOO_SMALL, 34, 36)),
    (init(wire.EAP(1, 2, b"abc", eap_length=30)), (Code.LENGTH_BEYOND_CONTAINER, 34, 36)),
    (init(wire.EAP(1, 2, b"abc", trailing=b"pad")), (Code.TRAILING_OCTETS, 39, 42)),
]


@pytest.mark.parametrize(
    ("message", "expected"), DAMAGES, ids=lambda value: str(value[0]) if isinstance(value, tuple) else ""
)
def test_damage_is_noted_where_it_lies(message: wire.Message, expected: tuple[Code, int, int]) -> None:
    assert expected in anomalies(message)


def proposal(**forced: object) -> wire.Message:
    built = samples.proposal(1, 1, "aes128gcm16-prfsha256-x25519")
    for name, value in forced.items():
        setattr(built, name, value)
    return init(wire.SA([built]))


def transform(place: int, **forced: object) -> wire.Message:
    message = proposal()
    for name, value in forced.items():
        setattr(message.payloads[0].proposals[0].transforms[place], name, value)
    return message


SA_DAMAGES: list[tuple[wire.Message, tuple[Code, int, int]]] = [
    (proposal(length=7), (Code.LENGTH_TOO_SMALL, 34, 36)),
    (proposal(length=77), (Code.LENGTH_BEYOND_CONTAINER, 34, 36)),
    (proposal(count=4), (Code.COUNT_MISMATCH, 39, 40)),
    (proposal(spi_size=99), (Code.SPI_SIZE, 38, 39)),
    (proposal(last_substructure=2), (Code.LAST_SUBSTRUCTURE, 32, 33)),
    (proposal(reserved=1), (Code.RESERVED_SET, 33, 34)),
    (proposal(number=2), (Code.PROPOSAL_NUMBER, 36, 37)),
    (proposal(trailing=b"x"), (Code.TRAILING_OCTETS, 68, 69)),
    (init(wire.SA([], trailing=b"abcd")), (Code.TRAILING_OCTETS, 32, 36)),
    (transform(0, last_substructure=0), (Code.LAST_SUBSTRUCTURE, 40, 41)),
    (transform(2, last_substructure=3), (Code.LAST_SUBSTRUCTURE, 60, 61)),
    (transform(1, reserved=1), (Code.RESERVED_SET, 53, 54)),
    (transform(1, reserved2=1), (Code.RESERVED_SET, 57, 58)),
    (transform(1, length=7), (Code.LENGTH_TOO_SMALL, 54, 56)),
    (transform(2, length=70), (Code.LENGTH_BEYOND_CONTAINER, 62, 64)),
    (transform(0, trailing=b"abc"), (Code.TRAILING_OCTETS, 52, 55)),
    (transform(0, attributes=[wire.Attribute(14, b"\x01\x00")]), (Code.ATTRIBUTE_FORMAT, 48, 50)),
    (transform(0, attributes=[wire.Attribute(15, b"\x01", length=9)]), (Code.LENGTH_BEYOND_CONTAINER, 50, 52)),
]


@pytest.mark.parametrize(
    ("message", "expected"), SA_DAMAGES, ids=lambda value: str(value[0]) if isinstance(value, tuple) else ""
)
def test_damage_in_proposals_is_noted_where_it_lies(message: wire.Message, expected: tuple[Code, int, int]) -> None:
    assert expected in anomalies(message)
    data = wire.build_message(message)
    assert wire.build_message(wire.parse_message(data)) == data


@pytest.mark.parametrize("kind", [kind for kind in wire.LAYOUTS if kind not in {33, 40, 43, 46}])
def test_a_body_shorter_than_its_fixed_part_keeps_its_type(kind: int) -> None:
    chain = wire.parse_payloads(kind, bytes.fromhex("2a000004 00000006 abcd"))
    assert chain.items[0].type == kind
    assert Code.BODY_TOO_SHORT in {anomaly.code for anomaly in chain.anomalies}
    if kind != 53:
        assert chain.items[1:] == [wire.Delete(0xAB)] or isinstance(chain.items[1], wire.UnknownPayload)


def test_a_wrong_delete_count_does_not_move_the_next_payload() -> None:
    message = init(wire.Delete(3, [b"spi1", b"spi2"], count=1), wire.VendorID(b"vendor"))
    parsed = wire.parse_message(wire.build_message(message))
    assert parsed.get(wire.VendorID) == wire.VendorID(b"vendor")
    assert parsed.get(wire.Delete) == wire.Delete(3, [b"spi1", b"spi2"], count=1)


def test_what_follows_a_false_length_is_still_read() -> None:
    selectors = [wire.OtherTrafficSelector(10, 0, b"label"), *samples.IPV4_SELECTORS]
    assert wire.parse_message(wire.build_message(init(wire.TSi(selectors)))).payloads[0].selectors == selectors


def test_sk_ends_the_chain_and_keeps_the_inner_type() -> None:
    message = samples.request(35, wire.SK(b"sealed", 35), message_id=1)
    message.trailing = b"more"
    parsed = wire.parse_message(wire.build_message(message))
    assert parsed.payloads == [wire.SK(b"sealed", 35)] or parsed.payloads[0].first == 35


@given(st.binary(max_size=200))
def test_spans_of_anomalies_lie_in_the_octets(body: bytes) -> None:
    data = samples.SPI_I + bytes(8) + bytes((33, 0x20, 34, 8)) + bytes(8) + body
    for anomaly in wire.parse_message(data).anomalies:
        assert 0 <= anomaly.start <= anomaly.end <= len(data)
        assert str(anomaly)
