"""Packets out of ESP and AH, sealed by the engine that the kernel and Scapy agree with, and real ones of strongSwan."""

import random
import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import RawPcapNgReader

from ipsectest.base.iana import ProtocolId, TransformType
from ipsectest.base.suites import parse_suite
from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.decrypt.sas import SaDatabase
from ipsectest.decrypt.sequence import WINDOW, SequenceTrack
from ipsectest.decrypt.unwrap import unwrap
from ipsectest.ipsec.drop import DropReason
from ipsectest.ipsec.esp import Forced
from ipsectest.ipsec.inner import Echo, UdpPacket, build_echo, build_udp_packet
from ipsectest.ipsec.packets import protect
from ipsectest.ipsec.sa import Mode, SecurityAssociation
from ipsectest.wire.ip import parse_ip
from tests.unit.ipsec.sas import SUITES, arguments, seeded

PCAPS = Path(__file__).parents[3] / "pcaps"
INNER = build_udp_packet(UdpPacket("198.51.100.1", 40000, "203.0.113.1", 53, b"a query"))
INNER_V6 = build_echo(Echo("2001:db8:1::1", "2001:db8:2::1", 7, 1, b"ping" * 20, is_reply=False))


def sender(suite: str, **changes: object) -> SecurityAssociation:
    values = {"source": "192.0.2.1", "destination": "192.0.2.2", **arguments(suite, **changes)}
    return SecurityAssociation(**values)


def keys_of(sa: SecurityAssociation, **changes: object) -> SaKeys:
    made = SaKeys(
        spi=sa.spi, source=sa.source, destination=sa.destination, protocol=sa.protocol, encryption=sa.encryption,
        encryption_key=sa.encryption_key, integrity=sa.integrity, integrity_key=sa.integrity_key,
    )  # fmt: skip
    return replace(made, **changes)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("inner", [INNER, INNER_V6], ids=["v4", "v6"])
@pytest.mark.parametrize("esn", [False, True])
def test_every_algorithm_gives_what_was_sent(suite: str, inner: bytes, esn: bool) -> None:
    sa = sender(suite, esn=esn)
    database = SaDatabase([keys_of(sa)])
    for number in range(1, 4):
        result = unwrap(protect(sa, inner, seeded(number)), database, number)
        assert result
        assert result.packet == inner, result.failure
        assert [layer.sequence for layer in result.layers] == [number]
    (found,) = database.sas
    assert (found.traffic.packets, found.traffic.first, found.traffic.last) == (3, 1, 3)


def test_a_tunnel_in_a_tunnel_in_transport_mode_opens_to_the_core() -> None:
    core, middle = sender("aes128gcm16", spi=b"\0\0\1\1"), sender("aes256-sha256", spi=b"\0\0\1\2")
    outer = sender("chacha20poly1305", spi=b"\0\0\1\3", mode=Mode.TRANSPORT)
    packet = protect(outer, protect(middle, protect(core, INNER, seeded(1)), seeded(2)), seeded(3))
    database = SaDatabase(map(keys_of, (core, middle, outer)))
    result = unwrap(packet, database, 0)
    assert result
    assert result.packet == INNER
    assert [layer.sa.keys.spi for layer in result.layers] == [outer.spi, middle.spi, core.spi]
    partly = unwrap(packet, SaDatabase([keys_of(outer), keys_of(middle)]), 0)
    assert partly
    assert partly.failure
    assert partly.failure.reason is DropReason.UNKNOWN_SPI
    assert parse_ip(partly.packet).protocol == 50


def test_transport_mode_gives_the_packet_as_it_was() -> None:
    inner = build_udp_packet(UdpPacket("192.0.2.1", 40000, "192.0.2.2", 53, b"a query"))
    sa = sender("aes128gcm16", mode=Mode.TRANSPORT)
    result = unwrap(protect(sa, inner, seeded(1)), SaDatabase([keys_of(sa)]), 0)
    assert result
    assert result.packet == inner


def test_udp_on_other_ports_is_opened_for_known_spis_only() -> None:
    sa = sender("aes128gcm16", udp_ports=(40000, 50000))
    packet = protect(sa, INNER, seeded(1))
    known = unwrap(packet, SaDatabase([keys_of(sa)]), 0)
    assert known
    assert known.packet == INNER
    assert unwrap(packet, SaDatabase(), 0) is None


@pytest.mark.parametrize("high", [0, 1, 5])
def test_the_upper_half_of_a_sequence_number_is_found(high: int) -> None:
    sa = sender("aes128gcm16", esn=True)
    start = (high << 32) + 0xFFFFFFF0
    database = SaDatabase([keys_of(sa)])
    for number in range(start, start + 32):
        result = unwrap(protect(sa, INNER, seeded(1), Forced(sequence=number)), database, 0)
        assert result
        assert result.layers[0].sequence == number
    assert database.sas[0].esn


def test_the_right_one_of_two_sas_with_one_spi_is_found() -> None:
    one, other = sender("aes128gcm16"), sender("aes256gcm16", destination="192.0.2.9")
    database = SaDatabase([keys_of(one), keys_of(other)])
    for sa in (one, other):
        result = unwrap(protect(sa, INNER, seeded(1)), database, 0)
        assert result
        assert result.packet == INNER
        assert result.layers[0].sa.keys.destination == sa.destination


def test_addresses_that_a_nat_changed_and_unknown_ones_do_not_hide_an_sa() -> None:
    sa = sender("aes128gcm16")
    packet = protect(sa, INNER, seeded(1))
    for changes in ({"source": "10.9.8.7"}, {"source": "", "destination": ""}, {"spi": b""}):
        result = unwrap(packet, SaDatabase([keys_of(sa, **changes)]), 0)
        assert result
        assert result.packet == INNER


def test_replays_and_losses_are_counted_and_replays_still_shown() -> None:
    sa = sender("aes128-sha256")
    database = SaDatabase([keys_of(sa)])
    packets = [protect(sa, INNER, seeded(n)) for n in range(10)]
    results = [unwrap(packets[n], database, 0) for n in (0, 1, 2, 2, 7, 5, 9)]
    assert [result.layers[0].is_new for result in results if result] == [True] * 3 + [False] + [True] * 3
    track = database.sas[0].sequence
    assert (track.lost, track.replayed, track.late, track.unique) == (4, 1, 1, 6)


def test_what_does_not_open_says_why() -> None:
    sa = sender("aes128gcm16")
    packet = protect(sa, INNER, seeded(1))
    wrong = SaDatabase([keys_of(sa, encryption_key=bytes(20))])
    result = unwrap(packet, wrong, 0)
    assert result
    assert result.failure
    assert result.failure.reason is DropReason.BAD_ICV
    assert wrong.sas[0].failures == {DropReason.BAD_ICV: 1}
    unknown = SaDatabase()
    unwrap(packet, unknown, 0)
    assert unknown.unknown == {(ProtocolId.ESP, sa.spi, "192.0.2.1", "192.0.2.2"): 1}
    unusable = SaDatabase([keys_of(sa, encryption_key=b"short")])
    assert unusable.sas == []
    assert "octets of key" in unusable.unusable[0][1]


def test_an_icv_of_unknown_algorithm_is_left_unchecked() -> None:
    sa = sender("aes128-sha256")
    keys = keys_of(sa, integrity=None, integrity_key=b"", unchecked_icv=16)
    result = unwrap(protect(sa, INNER, seeded(1)), SaDatabase([keys]), 0)
    assert result
    assert result.packet == INNER
    assert not result.layers[0].sa.verified


def test_a_wrong_key_that_no_icv_tells_is_told_by_the_padding() -> None:
    sa = sender("aes128-sha256", mode=Mode.TRANSPORT)
    unchecked = {"integrity": None, "integrity_key": b"", "unchecked_icv": 16}
    right = SaDatabase([keys_of(sa, **unchecked)])
    wrong = SaDatabase([keys_of(sa, **unchecked, encryption_key=bytes(16))])
    for n in range(200):
        packet = protect(sa, INNER, seeded(n), Forced(padding=bytes(15)) if n == 7 else Forced())
        opened = unwrap(packet, right, n)
        assert opened
        assert opened.packet == INNER
        unwrap(packet, wrong, n)
    assert wrong.sas[0].traffic.packets < 4
    assert wrong.sas[0].failures[DropReason.BAD_PADDING] > 150


@given(st.binary(max_size=200), st.sampled_from([50, 51, 17]))
def test_no_octets_raise(data: bytes, protocol: int) -> None:
    from ipsectest.wire.ip import build_ipv4

    sa = sender("aes128gcm16")
    database = SaDatabase([keys_of(sa), keys_of(sa, spi=b"")])
    packet = build_ipv4(bytes(4), bytes(4), protocol, data)
    result = unwrap(packet, database, 0)
    assert result is None or result.failure


def committed(name: str) -> Iterator[SaKeys]:
    for table in tomllib.loads((PCAPS / f"{name}.keys.toml").read_text())["esp"]:
        specs = {spec.type: spec for spec in parse_suite(table["suite"])}
        yield SaKeys(
            spi=bytes.fromhex(table["spi"]), source=table["source"], destination=table["destination"],
            encryption=specs[TransformType.ENCR], encryption_key=bytes.fromhex(table["encryption_key"]),
            integrity=specs.get(TransformType.INTEG), integrity_key=bytes.fromhex(table["integrity_key"]),
        )  # fmt: skip


@pytest.mark.parametrize("name", sorted(path.stem for path in PCAPS.glob("*.pcapng")))
def test_pings_of_real_tunnels_come_out(name: str) -> None:
    database = SaDatabase(committed(name))
    with RawPcapNgReader(str(PCAPS / f"{name}.pcapng")) as reader:
        results = [result for data, _ in reader if (result := unwrap(data, database, 0))]
    assert len(results) >= 12
    for result in results:
        assert result.failure is None
        assert parse_ip(result.packet).protocol in {1, 58}
    assert {sa.sequence.lost for sa in database.sas} == {0}


def test_the_track_keeps_little_whatever_comes() -> None:
    for numbers in (
        [random.Random(1).randrange(1 << 32) for _ in range(20_000)],
        range(0, 20_000 * 5000, 5000),
        range(1 << 40, (1 << 40) - 20_000 * 4096, -4096),
        [n ^ 1 for n in range(20_000)],
    ):
        track = SequenceTrack()
        for number in numbers:
            track.take(number)
        assert track.seen.bit_length() <= WINDOW
        assert track.lost == track.highest - track.first + 1 - track.unique


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(0, 5))
def test_the_track_tells_new_late_and_replayed_numbers(numbers: list[int], run: int) -> None:
    track, seen = SequenceTrack(), set()
    for number in numbers:
        late = bool(seen) and number < max(seen) and number not in seen
        before = track.late
        assert track.take(number) is (number not in seen)
        assert (track.late > before) is late
        seen.add(number)
        track.advance(run)
        seen.update(range(max(seen) + 1, max(seen) + 1 + run))
        assert (track.unique, track.highest, track.first) == (len(seen), max(seen), min(seen))
    assert track.lost == (max(seen) - min(seen) + 1 - len(seen) if seen else 0)
    assert track.replayed == len(numbers) * (1 + run) - len(seen)


def test_a_jump_costs_no_more_than_a_step() -> None:
    def seconds(step: int) -> float:
        best = []
        for _ in range(3):
            track, started = SequenceTrack(), time.process_time()
            for number in range(0, 3000 * step, step):
                track.take(number)
            best.append(time.process_time() - started)
        return min(best)

    assert seconds(4097) < 20 * seconds(1)
