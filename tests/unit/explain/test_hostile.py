"""Whatever a capture holds: no exception, and memory within bounds."""

import random

from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.iana import ExchangeType, NotifyType
from ipsectest.explain.conversations import MOST_CONVERSATIONS, MOST_EXCHANGES, MOST_OCTETS, MOST_SIGHTINGS
from ipsectest.explain.explanation import explain
from ipsectest.wire import Nonce, Notify
from tests.unit.explain.scenes import Scene, ke, sa
from tests.unit.explain.test_ike_causes import established
from tests.unit.explain.test_traffic_causes import traffic

NOTIFIES = [0, 1, 14, 17, 24, 38, 43, 16390, 65535]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([int(kind) for kind in ExchangeType] + [2, 4, 5, 32, 240]),
            st.integers(0, 255),
            st.integers(0, 3),
            st.sampled_from([1, 2, 3]),
            st.lists(st.tuples(st.sampled_from(NOTIFIES), st.binary(max_size=40)), max_size=3),
            st.booleans(),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_messages_of_any_kind(messages: list[tuple[int, int, int, int, list[tuple[int, bytes]], bool]]) -> None:
    scene = Scene()
    for exchange, flags, message_id, major, notifies, to_right in messages:
        payloads = [Notify(kind, data) for kind, data in notifies]
        scene.ike(ExchangeType.IKE_SA_INIT, *payloads, message_id=message_id, major=major, response=bool(flags & 32))
        raw = bytearray(scene.frames.pop().data)[28:]
        raw[18], raw[19] = exchange, flags
        scene.datagram(bytes(raw), to_right=to_right)
    assert isinstance(scene.explained().as_json(), dict)


def test_damaged_captures() -> None:
    draw = random.Random(7)
    scene = traffic(established(), range(1, 20))
    scene.ike(ExchangeType.CREATE_CHILD_SA, Notify(NotifyType.NO_PROPOSAL_CHOSEN), message_id=2, response=True)
    whole = [bytes(frame.data) for frame in scene.frames]
    for _ in range(300):
        scene.frames.clear()
        for data in whole:
            damaged = bytearray(data)
            for _ in range(draw.randrange(4)):
                damaged[draw.randrange(len(damaged))] = draw.randrange(256)
            scene.packet(bytes(damaged[: draw.randrange(len(damaged))] if draw.random() < 0.2 else damaged))
        told = explain([scene.facts()])
        assert told.findings


def test_a_flood_of_conversations_is_bounded() -> None:
    scene = Scene()
    for number in range(MOST_CONVERSATIONS + 30):
        spi = number.to_bytes(8, "big")
        scene.ike(ExchangeType.IKE_SA_INIT, sa("aes128gcm16-prfsha256-x25519"), ke(31), Nonce(bytes(16)), spi_i=spi)
    facts = scene.facts()
    assert len(facts.conversations.found) == MOST_CONVERSATIONS
    assert facts.conversations.left_out == 30
    assert {one.code for one in explain([facts]).findings} == {"peer-unreachable", "capture-ends-early"}


def test_one_long_conversation_is_bounded() -> None:
    scene = established()
    for number in range(2, MOST_EXCHANGES + 40):
        scene.ike(ExchangeType.INFORMATIONAL, message_id=number)
        scene.ike(ExchangeType.INFORMATIONAL, message_id=number, response=True)
    for _ in range(MOST_SIGHTINGS + 5):
        scene.ike(ExchangeType.INFORMATIONAL, message_id=9999, after=0.5)
    (one,) = scene.facts().conversations.found
    assert len(one.exchanges) == MOST_EXCHANGES
    assert one.forgotten > 0
    assert len(one.exchanges[-1].request.sightings) == MOST_SIGHTINGS
    assert one.exchanges[-1].request.transmissions == MOST_SIGHTINGS + 5
    assert "dead-peer" in scene.codes()


def test_a_storm_of_cookies_is_told_whatever_its_length() -> None:
    scene = Scene()
    large = Notify(40960, bytes(60_000))
    for number in range(MOST_OCTETS // 60_000 + MOST_EXCHANGES):
        cookie = Notify(NotifyType.COOKIE, number.to_bytes(8, "big"))
        scene.ike(ExchangeType.IKE_SA_INIT, cookie, large)
        scene.ike(ExchangeType.IKE_SA_INIT, cookie, response=True, spi_r=bytes(8))
    found = scene.finding("cookie-loop")
    assert found.text.startswith(f"{MOST_EXCHANGES} and more demands")
    assert len(found.evidence) <= 10


def test_payloads_are_forgotten_when_memory_ends() -> None:
    scene = Scene()
    big = Notify(40960, bytes(60_000))
    for number in range(MOST_OCTETS // 60_000 + 20):
        scene.ike(ExchangeType.IKE_SA_INIT, big, spi_i=number.to_bytes(8, "big"))
    kept = [one for found in scene.facts().conversations.found for one in found.exchanges if one.request.opened]
    assert sum(len(one.request.opened.message.raw) for one in kept if one.request.opened) <= MOST_OCTETS
    assert len(kept) < MOST_OCTETS // 60_000 + 20
