"""Messages of XFRM that are not what they say: cut, with wrong lengths, with what newer kernels add."""

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.net.xfrm import Aead, Policy, PolicyChange, Selector, State, StateChange, Template, XfrmEvents
from ipsectest.net.xfrm import messages as wire
from ipsectest.net.xfrm.policies import policy_message
from ipsectest.net.xfrm.records import Migration, Replay, ReplayWindow, Usage
from ipsectest.net.xfrm.states import state_message

POLICY = Policy(selector=Selector("198.51.100.0/24", "203.0.113.0/24"), dir="out", templates=(Template(), Template()))
STATE = State(
    src="192.0.2.1",
    dst="192.0.2.2",
    mode="tunnel",
    aead=Aead("rfc4106(gcm(aes))", bytes(20), 128),
    esn=True,
    replay_window=128,
    encap=("espinudp", 4500, 4500, ""),
    mark=(1, 2),
    if_id=3,
    offload=(1, 1),
)
ADDRESS = bytes([192, 0, 2, 1]).ljust(16, b"\0")
ATTRIBUTES = (
    ("XFRMA_TMPL", POLICY.templates),
    ("XFRMA_SA", bytes(224)),
    ("XFRMA_POLICY", bytes(168)),
    ("XFRMA_MIGRATE", (Migration("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"),)),
    ("XFRMA_REPLAY_ESN_VAL", ReplayWindow(Replay(1, 2, (3,)), 32)),
    ("XFRMA_LTIME_VAL", Usage()),
    ("XFRMA_POLICY_TYPE", 1),
)


def encoded(message: wire.XfrmMessage, kind: int) -> bytes:
    message["header"]["type"] = kind
    message.encode()
    return bytes(message.data)


def samples() -> Iterator[bytes]:
    """One of each message, with attributes where it may have some."""
    yield encoded(state_message(STATE), wire.MessageType.NEWSA)
    yield encoded(policy_message(POLICY), wire.MessageType.NEWPOLICY)
    for kind, make in wire.MESSAGES.items():
        message = make()
        for name, layout in make.fields:
            if layout == "16s":
                message[name] = ADDRESS
        if isinstance(message, wire.XfrmMessage):
            message["attrs"] = list(ATTRIBUTES)
        yield encoded(message, kind)


SAMPLES = list(samples())
GOOD = encoded(policy_message(POLICY), wire.MessageType.NEWPOLICY)


@pytest.fixture
def events() -> Iterator[XfrmEvents]:
    with XfrmEvents() as made:
        yield made


def read(events: XfrmEvents, datagram: bytes) -> list[object]:
    """As if the kernel had sent it."""
    return list(events._parse(datagram))


@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 700), st.sampled_from([0, 1, 2, 4, 5, 127, 128, 255])), max_size=6),
    st.none() | st.integers(0, 700),
    st.sampled_from([None, 0, 1, 15, 16, 17, 65535, 2**32 - 1]),
)
def test_damage_is_counted_and_never_raised(
    sample: bytes, changes: list[tuple[int, int]], cut: int | None, length: int | None
) -> None:
    damaged = bytearray(sample[:cut])
    for place, value in changes:
        if place < len(damaged):
            damaged[place] = value
    if length is not None and len(damaged) >= 4:
        struct.pack_into("=I", damaged, 0, length)
    with XfrmEvents() as events:
        read(events, bytes(damaged))
        before = events.damaged
        assert read(events, GOOD) == [PolicyChange("add", POLICY)]
        assert events.damaged == before


def test_what_follows_a_damaged_message_is_read(events: XfrmEvents) -> None:
    broken = bytearray(SAMPLES[1][:100])
    struct.pack_into("=I", broken, 0, 100)
    assert read(events, bytes(broken) + GOOD) == [PolicyChange("add", POLICY)]
    assert events.damaged == 1


def test_an_attribute_that_is_too_short_is_none(events: XfrmEvents) -> None:
    octets = bytearray(SAMPLES[0])
    at = octets.index(struct.pack("=HH", 12, 21))  # XFRMA_MARK
    struct.pack_into("=H", octets, at, 8)
    (change,) = read(events, bytes(octets))
    assert isinstance(change, StateChange)
    assert change.state.mark is None


def test_attributes_of_newer_kernels_are_passed_over(events: XfrmEvents) -> None:
    octets = bytearray(SAMPLES[0] + struct.pack("=HHI", 8, 77, 1) + struct.pack("=HH", 4, 0x3FFF))
    struct.pack_into("=I", octets, 0, len(octets))
    (change,) = read(events, bytes(octets))
    assert change == StateChange("add", STATE)
