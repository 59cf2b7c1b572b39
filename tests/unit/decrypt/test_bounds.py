"""What a capture may make decrypt remember is bounded in octets, not only in number."""

import random
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from ipsectest.decrypt import pipeline
from ipsectest.decrypt.bounded import Bounded
from ipsectest.decrypt.frames import Frame, Interface
from ipsectest.decrypt.ike import MOST_OF_ONE, IkeDatabase
from ipsectest.decrypt.keys.model import IkeKeys, KeyRing, SaKeys
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.sas import MOST_OF_ONE_SPI, SaDatabase
from ipsectest.net.reassembly import Reassembler
from ipsectest.wire.ip import UDP, build_ipv4, build_udp
from tests.hostile.memory import resident
from tests.unit.decrypt.test_unwrap import keys_of, sender

SOURCE, DESTINATION = b"\xc0\0\2\1", b"\xc0\0\2\2"
DICE = random.Random(1)


def isakmp(cookies: bytes, head: tuple[int, int, int, int], body: bytes) -> bytes:
    message = cookies + bytes(head) + bytes(4) + (28 + len(body)).to_bytes(4, "big") + body
    data = build_udp(SOURCE, DESTINATION, 500, 500, message, checksummed=False)
    return build_ipv4(SOURCE, DESTINATION, UDP, data)


def fragment(number: int) -> bytes:
    """Pieces of 60,000 octets that overlap, 200 of each packet."""
    place = 0x2000 | number % 200 + 1
    return build_ipv4(SOURCE, DESTINATION, 17, bytes(60_000), identification=number // 200, flags_and_offset=place)


def ikev2_request(number: int) -> bytes:
    """Of as many payloads without a body as there is room for."""
    chain = bytes((43, 0, 0, 4)) * 14_999 + bytes((0, 0, 0, 4))
    return isakmp(number.to_bytes(8, "big") + bytes(8), (43, 0x20, 34, 8), chain)


def ikev1_encrypted(number: int) -> bytes:
    return isakmp(number.to_bytes(8, "big") * 2, (5, 0x10, 2, 1), DICE.randbytes(60_000))


def ikev1_values(number: int) -> bytes:
    """KE and Nonce of 30,000 octets."""
    values = bytes((10, 0)) + (30_004).to_bytes(2, "big") + DICE.randbytes(30_000)
    values += bytes((0, 0)) + (30_004).to_bytes(2, "big") + DICE.randbytes(30_000)
    return isakmp((number // 2 + 1).to_bytes(8, "big") * 2, (4, 0x10, 2, 0), values)


@pytest.mark.parametrize(
    ("packet", "count", "most"),
    [(fragment, 2000, 40), (ikev2_request, 60, 70), (ikev1_encrypted, 1000, 40), (ikev1_values, 1500, 40)],
)
def test_memory_does_not_follow_what_a_capture_says(packet: Callable[[int], bytes], count: int, most: float) -> None:
    run, interface = Decryption(KeyRing()), Interface(101)
    before = resident()
    for number in range(count):
        octets = packet(number)
        run.take(Frame(number + 1, number, 0, octets, len(octets)), interface)
    assert resident() < before + most


def test_reasons_are_told_apart_up_to_a_bound() -> None:
    """The address family of a BSD loopback header is any number."""
    run, interface = Decryption(KeyRing()), Interface(0)
    for number in range(1000):
        run.take(Frame(number + 1, 0, 0, struct.pack("<II", number + 100, 0), 8), interface)
    assert len(run.totals.without_ip) == 101
    assert run.totals.without_ip.total() == 1000


def test_a_table_forgets_the_oldest_by_number_and_by_octets() -> None:
    table: Bounded[int, str] = Bounded(3, 100)
    for number in range(5):
        table.put(number, str(number), 10)
    assert [table.get(number) for number in range(5)] == [None, None, "2", "3", "4"]
    table.put(4, "again", 85)
    assert [table.get(number) for number in range(2, 5)] == [None, "3", "again"]
    table.put(9, "large", 1000)
    assert (len(table), table.get(9)) == (1, "large")
    assert table.pop(9) == "large"
    table.put(1, "one", 100)
    assert (table.get(1), table.pop(2)) == ("one", None)


def test_pieces_beyond_a_whole_packet_end_the_wait_for_it() -> None:
    reassembler = Reassembler()
    assert reassembler.feed(fragment(0), 0.0) is None
    assert len(reassembler) == 1
    assert reassembler.feed(fragment(1), 0.0) is None
    assert len(reassembler) == 0


def test_an_spi_used_again_and_again_costs_no_more_than_a_bound() -> None:
    """The newest SAs are kept, each pair of keys once."""
    keys = [keys_of(sender("aes128gcm16"), encryption_key=n.to_bytes(20, "big")) for n in range(2 * MOST_OF_ONE_SPI)]
    database = SaDatabase([*keys, *keys[-5:]])
    found = database.find(keys[0].protocol, keys[0].spi, keys[0].source, keys[0].destination)
    assert len(found) == MOST_OF_ONE_SPI
    assert keys[-1] in [sa.keys for sa in found]
    assert len(database.sas) == len(keys)


def test_keys_of_an_ike_sa_that_come_again_are_not_tried_again(some_ike: IkeKeys) -> None:
    database = IkeDatabase([some_ike])
    assert not database.add(some_ike)
    for number in range(2 * MOST_OF_ONE):
        database.add(replace(some_ike, sk_ei=number.to_bytes(20, "big")))
    assert len(database._suites[some_ike.spi_i, some_ike.spi_r]) == MOST_OF_ONE


@pytest.fixture
def some_ike() -> IkeKeys:
    keys: SaKeys = keys_of(sender("aes128gcm16"))
    assert keys.encryption
    return IkeKeys(
        spi_i=b"i" * 8, spi_r=b"r" * 8, encryption=keys.encryption, sk_ei=b"e" * 20, sk_er=b"f" * 20
    )  # fmt: skip


def test_an_authentic_peer_brings_about_so_many_sas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MOST_DERIVED", -1)
    run = Decryption(KeyRing())
    run.learn(0, isakmp(b"i" * 8 + bytes(8), (0, 0x20, 34, 8), b""))
    assert any("keys of the others are not derived" in note for note in run.notes)
