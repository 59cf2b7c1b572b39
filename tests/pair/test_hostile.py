"""Whatever arrives, an endpoint neither raises nor grows, and serves the next honest peer."""

import os
import random

import pytest

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.iana import ExchangeType, NotifyType
from ipsectest.ike import protect
from ipsectest.ike.endpoint import MAX_EVENTS, MAX_LINGERING
from ipsectest.ike.events import DropReason, IkeEstablished
from ipsectest.ike.exchanges import EXCHANGES
from ipsectest.ike.protect import Sealing
from ipsectest.ike.states import State
from ipsectest.ike.tasks import CreateChild, DeleteChildren, DeleteIke, Inform, Liveness, RekeyChild, RekeyIke
from ipsectest.wire import CP, SK, Notify, VendorID, build_payloads
from tests.pair.world import ALICE, BOB, World

DATAGRAMS = int(os.environ.get("IPSECTEST_DATAGRAMS", "20000"))


def mutated(octets: bytes, dice: random.Random) -> bytes:
    data = bytearray(octets)
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(data)) if data else 0
        match dice.randrange(5):
            case 0 if data:
                data[at] ^= 1 << dice.randrange(8)
            case 1:
                data[at : at + dice.randrange(9)] = dice.randbytes(dice.randrange(9))
            case 2:
                del data[at:]
            case 3 if data:
                data[at] = dice.choice([0, 1, 0x7F, 0x80, 0xFF])
            case 4 if len(data) > 28:
                data[24:28] = len(data).to_bytes(4, "big")
    return bytes(data)


def seeds() -> tuple[World, list[bytes]]:
    """A world after some life, and every datagram that bob received in it."""
    world = World(1)
    world.establish()
    world.alice.endpoint.rekey_child(world.alice.children()[0], world.now)
    world.settle()
    world.alice.endpoint.rekey_ike(world.alice.ike(), world.now)
    world.settle()
    world.alice.endpoint.liveness(world.alice.ike(), world.now)
    world.settle()
    return world, [d.data for d in world.sent]


def test_random_and_mutated_datagrams_do_no_harm() -> None:
    dice = random.Random(5)
    world, corpus = seeds()
    endpoint = world.bob.endpoint
    for number in range(DATAGRAMS):
        data = dice.randbytes(dice.randrange(200)) if number % 4 == 0 else mutated(dice.choice(corpus), dice)
        port = dice.choice([500, 4500])
        source = Address(f"192.0.2.{dice.randrange(3, 250)}" if number % 2 else ALICE.host, dice.randrange(1024, 60000))
        endpoint.receive_datagram(data, source, Address(BOB.host, port), world.now)
        if number % 100 == 0:
            world.now += 1.0
            endpoint.datagrams_to_send(world.now)
            endpoint.handle_timer(world.now)
    assert len(endpoint._events) <= MAX_EVENTS + 200
    assert len(endpoint.half_open) <= endpoint.config.max_half_open
    assert len(endpoint._sessions) <= endpoint.config.max_half_open + MAX_LINGERING + 2
    assert endpoint.drops.total() > DATAGRAMS / 2
    world.now += 10_000
    endpoint.handle_timer(world.now)
    endpoint.datagrams_to_send(world.now)
    assert world.bob.ike().children
    fresh = World(2)
    fresh.bob.endpoint, fresh.now = endpoint, world.now
    fresh.alice.endpoint.initiate(fresh.alice.connection, fresh.now)
    fresh.settle()
    assert fresh.alice.seen(IkeEstablished)


def sealed_corpus(world: World) -> list[tuple[int, int, bytes]]:
    """(exchange type, first payload, inner octets) of requests that alice may make."""
    alice = world.alice.endpoint
    (session,) = [s for s in alice._sessions.values() if s.sa.state is State.ESTABLISHED]
    child = world.alice.children()[0]
    tasks = [
        RekeyChild(child), CreateChild(child.config), RekeyIke(), DeleteChildren((child,)), DeleteIke(), Liveness(),
        Inform((Notify(NotifyType.INVALID_SPI, b"spi!"), CP(1), VendorID(b"?"))),
    ]  # fmt: skip
    corpus = []
    for task in tasks:
        exchange = 36 if isinstance(task, RekeyChild | CreateChild | RekeyIke) else 37
        payloads = EXCHANGES[exchange].compose_request(session.sa, session.context(0.0, task))
        corpus.append((exchange, *build_payloads(payloads)))
    return corpus


def test_an_authenticated_peer_may_send_anything() -> None:
    dice = random.Random(6)
    for number in range(DATAGRAMS // 40):
        if number % 20 == 0:
            world = World(number)
            world.establish()
            corpus = sealed_corpus(world)
        known = {s.sa.spi_i: s.sa for s in world.alice.endpoint._sessions.values()}
        living = [s for s in world.bob.endpoint._sessions.values() if s.sa.state is not State.CLOSED]
        bob = next((s for s in living if s.sa.spi_i in known), None)
        if bob is None:
            world = World(number)
            world.establish()
            continue
        exchange, first, inner = dice.choice(corpus)
        inner = mutated(inner, dice) if dice.random() < 0.9 else inner
        first = dice.randrange(60) if dice.random() < 0.1 else first
        exchange = dice.choice([35, 36, 37, 99]) if dice.random() < 0.1 else exchange
        sender = known[bob.sa.spi_i]
        message = sender.header(exchange, bob.receive.next_id)
        sealing = Sealing(plaintext=inner + b"\0", payload=SK(b"", first=first or 1))
        octets = protect.seal(sender, message, dice.randbytes, sealing)
        answers = len(world.sent)
        world.deliver(Datagram(octets, ALICE, BOB))
        # RFC 7296 section 2.21.3: on an authenticated IKE SA every request is answered.
        assert any(d.source == BOB for d in world.sent[answers:])


def test_flood_of_first_messages_meets_cookies_and_a_limit() -> None:
    world = World(3, cookie_threshold=8, max_half_open=16)
    for number in range(500):
        attacker = World(100 + number)
        attacker.alice.endpoint.initiate(attacker.alice.connection, 0.0)
        (first,) = attacker.alice.endpoint.datagrams_to_send(0.0)
        world.deliver(first)
    assert len(world.bob.endpoint.half_open) == 8
    assert world.bob.endpoint.get_timer() is not None
    world.alice.endpoint.initiate(world.alice.connection, world.now)
    world.settle()
    assert world.alice.seen(IkeEstablished)


def test_half_open_table_never_outgrows_its_limit() -> None:
    world = World(3, cookie_threshold=10_000, max_half_open=16)
    for number in range(100):
        attacker = World(100 + number)
        attacker.alice.endpoint.initiate(attacker.alice.connection, 0.0)
        world.deliver(attacker.alice.endpoint.datagrams_to_send(0.0)[0])
    assert len(world.bob.endpoint.half_open) == 16
    assert len(world.bob.endpoint._sessions) <= 16 + MAX_LINGERING
    world.now = 1000.0
    world.bob.endpoint.handle_timer(world.now)
    assert not world.bob.endpoint._sessions


@pytest.mark.parametrize("flags", [0x00, 0x08, 0x20, 0x28])
@pytest.mark.parametrize("exchange", [34, 35, 36, 37, 38, 43, 255])
def test_unknown_spis_are_told_once_per_message_and_not_too_often(flags: int, exchange: int) -> None:
    world = World()
    header = b"A" * 8 + b"B" * 8 + bytes([0, 0x20, exchange, flags]) + (7).to_bytes(4, "big") + (28).to_bytes(4, "big")
    for _ in range(100):
        world.bob.endpoint.receive_datagram(header, ALICE, BOB, 0.0)
    sent = world.bob.endpoint.datagrams_to_send(0.0)
    if flags & 0x20 or exchange == ExchangeType.IKE_SA_INIT:
        assert sent == []
    else:
        assert 1 <= len(sent) <= 20
        answer = sent[0].data
        assert answer[:16] == header[:16]
        assert answer[20:24] == header[20:24]
        assert answer[19] == 0x20 | (0 if flags & 0x08 else 0x08)


def test_higher_major_version_is_told_and_dropped() -> None:
    world = World()
    world.alice.endpoint.initiate(world.alice.connection, 0.0)
    (first,) = world.alice.endpoint.datagrams_to_send(0.0)
    octets = bytearray(first.data)
    octets[17] = 0x30
    world.bob.endpoint.receive_datagram(bytes(octets), ALICE, BOB, 0.0)
    (answer,) = world.bob.endpoint.datagrams_to_send(0.0)
    assert answer.data[17] == 0x20
    assert world.bob.endpoint.drops == {DropReason.MAJOR_VERSION: 1}
    octets[17] = 0x10
    world.bob.endpoint.receive_datagram(bytes(octets), ALICE, BOB, 0.0)
    assert world.bob.endpoint.datagrams_to_send(0.0) == []


def test_unprotected_invalid_ike_spi_only_leads_to_a_liveness_check() -> None:
    world = World()
    world.establish()
    sa = world.alice.ike()
    forged = sa.spi_i + sa.spi_r + bytes([41, 0x20, 37, 0x20]) + (5).to_bytes(4, "big") + (36).to_bytes(4, "big")
    forged += bytes([0, 0, 0, 8, 0, 0, 0, 4])
    for _ in range(50):
        world.alice.endpoint.receive_datagram(forged, BOB, ALICE, world.now)
    assert len(world.alice.endpoint.datagrams_to_send(world.now)) == 1
    assert world.alice.ike() is sa
