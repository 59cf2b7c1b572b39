"""build_message(parse_message(x)) == x for every x: by hypothesis and by a seeded mutation loop."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsectest.wire import build_message, build_payloads, parse_message, parse_payloads
from tests.unit.wire import samples

INTERESTING = (0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 20, 28, 33, 40, 41, 46, 53, 54, 127, 128, 254, 255)


def assert_lossless(data: bytes) -> None:
    message = parse_message(data)
    assert build_message(message) == data
    assert message.raw == data
    for anomaly in message.anomalies:
        assert 0 <= anomaly.start <= anomaly.end <= len(data)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """A few octets set to numbers that parsers trip over, then perhaps cut, doubled or padded."""
    octets = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        octets[rng.randrange(len(octets))] = rng.choice(INTERESTING)
    match rng.randrange(8):
        case 0:
            del octets[rng.randrange(len(octets)) :]
        case 1:
            at = rng.randrange(len(octets))
            octets[at:at] = rng.randbytes(rng.randrange(1, 20))
        case 2:
            start, stop = sorted((rng.randrange(len(octets)), rng.randrange(len(octets))))
            del octets[start:stop]
        case 3:
            octets += rng.randbytes(rng.randrange(1, 40))
    return bytes(octets)


@pytest.mark.parametrize("name", samples.MESSAGES)
def test_well_formed_messages_come_back(name: str) -> None:
    message = samples.MESSAGES[name]
    data = build_message(message)
    assert parse_message(data) == message
    assert_lossless(data)


def test_a_hundred_thousand_mutants_come_back() -> None:
    rng = random.Random(20261121)
    originals = [build_message(message) for message in samples.MESSAGES.values()]
    for number in range(100_000):
        data = mutate(originals[number % len(originals)], rng)
        assert build_message(parse_message(data)) == data, data.hex()


def test_noise_behind_a_valid_header_comes_back() -> None:
    rng = random.Random(7296)
    for _ in range(5_000):
        body = bytes(rng.choice(INTERESTING) for _ in range(rng.randrange(120)))
        assert_lossless(bytes(range(1, 17)) + bytes((33 + rng.randrange(23), 0x20, 34, 8)) + bytes(8) + body)


@settings(max_examples=1500, deadline=None)
@given(st.binary(max_size=400))
def test_any_octets_come_back(data: bytes) -> None:
    assert_lossless(data)


@settings(max_examples=1500, deadline=None)
@given(st.integers(0, 255), st.binary(max_size=300))
def test_any_chain_comes_back(first: int, data: bytes) -> None:
    chain = parse_payloads(first, data)
    kind, octets = build_payloads(chain.items)
    assert octets + chain.trailing == data
    assert kind == (first if chain.items else 0)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(sorted(samples.MESSAGES)), st.data())
def test_edited_octets_of_real_messages_come_back(name: str, data: st.DataObject) -> None:
    octets = bytearray(build_message(samples.MESSAGES[name]))
    edits = data.draw(st.lists(st.tuples(st.integers(0, len(octets) - 1), st.integers(0, 255)), max_size=8))
    for at, value in edits:
        octets[at] = value
    assert_lossless(bytes(octets))
