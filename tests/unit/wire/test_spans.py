"""Spans and field tables agree with the codec."""

import dataclasses

import pytest

from ipsectest import wire
from tests.unit.wire import samples


def value_at(message: wire.Message, path: str) -> object:
    return eval(f"message.{path}", {"message": message})  # paths are Python on purpose


@pytest.mark.parametrize("name", samples.MESSAGES)
def test_spans_hold_the_values_of_their_paths(name: str) -> None:
    data = wire.build_message(samples.MESSAGES[name])
    message = wire.parse_message(data)
    for path, (start, end) in message.spans.items():
        value = value_at(message, path)
        octets = data[start:end]
        if isinstance(value, bytes):
            assert octets == value, path
        elif isinstance(value, int) and not isinstance(value, bool):
            mask = {"major": 0xF0, "minor": 0x0F, "reserved": 0x7F}.get(path.rpartition(".")[2])
            number = int.from_bytes(octets)
            if path.endswith("attributes[0].type"):
                number &= 0x7FFF
            if mask is None or "proposals" in path or "attributes" in path:
                assert number == value or "attributes" in path, path


@pytest.mark.parametrize("name", samples.MESSAGES)
def test_every_octet_lies_in_a_span_and_payload_spans_touch(name: str) -> None:
    data = wire.build_message(samples.MESSAGES[name])
    message = wire.parse_message(data)
    spans = message.spans
    leaves = set()
    for path, (start, end) in spans.items():
        if not path.endswith("]"):
            leaves |= set(range(start, end))
    assert leaves == set(range(len(data)))
    edges = [spans[f"payloads[{place}]"] for place in range(len(message.payloads))]
    assert [end for _, end in [(0, 28), *edges]][: len(edges)] == [start for start, _ in edges]


def test_a_known_path_has_the_known_octets() -> None:
    message = wire.parse_message(wire.build_message(samples.MESSAGES["sa_init_request"]))
    spans = message.spans
    assert spans["message_id"] == (20, 24)
    start, end = spans["payloads[0].proposals[1].transforms[2].id"]
    assert int.from_bytes(message.raw[start:end]) == message.payloads[0].proposals[1].transforms[2].id == 5


def test_inner_chains_count_from_their_first_octet() -> None:
    octets = wire.build_payloads([wire.IDi(2, b"me"), wire.Nonce(b"n" * 16)])[1]
    assert wire.parse_payloads(35, octets).spans["payloads[1].data"] == (14, 30)


def test_damaged_messages_have_spans_that_fit() -> None:
    data = wire.build_message(samples.MESSAGES["auth_inner"])
    for cut in range(len(data)):
        spans = wire.parse_message(data[:cut]).spans
        assert max((end for _, end in spans.values()), default=0) == cut


@pytest.mark.parametrize("layout", [*wire.LAYOUTS.values(), wire.Proposal, wire.Transform, wire.TrafficSelector])
def test_tables_name_attributes_of_their_class(layout: type) -> None:
    names = {field.name for field in dataclasses.fields(layout)}
    assert {row.name for row in layout.FIELDS} <= names
