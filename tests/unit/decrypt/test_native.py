"""The fast path against the slow one: what it opens is the same, and what it leaves it leaves untouched."""

import ctypes
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipsectest.base.suites import parse_suite
from ipsectest.decrypt.native import build, library
from ipsectest.decrypt.native.library import END_OF_INPUT, OUTPUT_FULL, RESERVE, SLOW_FRAME, Interface, Window
from ipsectest.decrypt.native.sas import NativeTable
from ipsectest.decrypt.sas import SaDatabase
from ipsectest.decrypt.unwrap import unwrap
from ipsectest.ipsec.esp import Forced
from ipsectest.ipsec.packets import protect
from ipsectest.ipsec.sa import Mode, SecurityAssociation
from ipsectest.wire.ip import build_ipv4
from tests.unit.decrypt.test_unwrap import INNER, INNER_V6, keys_of, sender
from tests.unit.ipsec.sas import SUITES, seeded

TAKEN = {
    "aes128gcm16", "aes192gcm12", "aes256gcm8", "chacha20poly1305", "aes128-sha256", "aes256-sha384", "aes192-sha512",
    "aes256ctr-sha1", "aes128ctr-sha256", "camellia256-sha256", "3des-md5", "3des-sha1",
}  # fmt: skip
"""What the fast path knows; the slow one does all of SUITES."""


@pytest.fixture(scope="module")
def native() -> object:
    if library.load() is None:
        why = build.build()
        if why:
            pytest.skip(f"no fast path here: {why}")
        library.load.cache_clear()
    assert library.load() is not None
    return library.load()


def record(packet: bytes, at: int = 0, *, wire: int | None = None, ethernet: bool = True) -> bytes:
    """A packet as a classic pcap file has it."""
    six = packet[:1] >= b"\x60"
    frame = (bytes(12) + (b"\x86\xdd" if six else b"\x08\x00") if ethernet else b"") + packet
    return struct.pack("<IIII", at, 0, len(frame), len(frame) if wire is None else wire) + frame


@dataclass
class Run:
    """A run of the fast path over records, with the slow path behind it as ``decrypt`` has it."""

    library: object
    database: SaDatabase
    link_type: int = 1
    slow: int = 0
    packets: list[bytes] = field(default_factory=list)

    def over(self, records: Sequence[bytes], *, room: int = 1 << 20) -> "Run":
        source = ctypes.create_string_buffer(b"".join(records), sum(map(len, records)) or 1)
        place = ctypes.create_string_buffer(room)
        interface = Interface(link_type=self.link_type, usable=1, nanoseconds=1000, out_interface=3)
        window = Window(input=ctypes.addressof(source), end=sum(map(len, records)), output=ctypes.addressof(place))
        window.capacity, window.interfaces, window.interface_count = room, ctypes.pointer(interface), 1
        table = NativeTable(self.library)
        try:
            while self._step(window, table, source, place) is None:
                pass
        finally:
            table.collect()
            table.close()
        return self

    def _step(self, window: Window, table: NativeTable, source: ctypes.Array, place: ctypes.Array) -> bool | None:
        outcome = self.library.esp_run(ctypes.byref(window), ctypes.byref(table.table))
        self.packets += blocks(place.raw[: window.written])
        window.written = 0
        if outcome == END_OF_INPUT:
            return True
        if outcome == OUTPUT_FULL:
            return None
        assert outcome == SLOW_FRAME
        self.slow += 1
        table.collect()
        captured = struct.unpack_from("<I", source.raw, window.position + 8)[0]
        start = window.position + 16
        window.position = start + captured
        result = unwrap(source.raw[start + (14 if self.link_type == 1 else 0) : start + captured], self.database, 0)
        if result and result.packet:
            self.packets.append(result.packet)
        for layer in result.layers if result else []:
            table.follow(layer.sa, layer.sa.keys.source, layer.sa.keys.destination, ("ESP seq ", " good"))
        return None


def blocks(data: bytes) -> Iterator[bytes]:
    """The packets of enhanced packet blocks, each checked for its lengths and comment."""
    at = 0
    while at < len(data):
        kind, length, interface, _, _, captured, wire = struct.unpack_from("<7I", data, at)
        assert (kind, interface, captured, data[at + length - 4 : at + length]) == (6, 3, wire, data[at + 4 : at + 8])
        option = at + 28 + -(-captured // 4) * 4
        code, size = struct.unpack_from("<HH", data, option)
        assert code == 1
        assert data[option + 4 :].startswith(b"ESP seq ")
        assert data[option + 4 : option + 4 + size].endswith(b" good")
        assert option + 4 + -(-size // 4) * 4 + 4 + 4 == at + length
        yield data[at + 28 : at + 28 + captured]
        at += length


def sealed(sa: SecurityAssociation, count: int, *, start: int = 1) -> list[bytes]:
    return [protect(sa, (INNER, INNER_V6)[n % 2], seeded(n), Forced(sequence=start + n)) for n in range(count)]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("udp", [False, True], ids=["plain", "udp"])
@pytest.mark.parametrize("six", [False, True], ids=["v4", "v6"])
def test_it_opens_what_the_slow_path_opens(native: object, suite: str, udp: bool, six: bool) -> None:
    ends = {"source": "2001:db8::1", "destination": "2001:db8::2"} if six else {}
    sa = sender(suite, udp_ports=(4500, 4500) if udp else None, **ends)
    run = Run(native, SaDatabase([keys_of(sa)])).over([record(packet) for packet in sealed(sa, 8)])
    assert run.packets == [(INNER, INNER_V6)[n % 2] for n in range(8)]
    assert run.slow == (1 if suite in TAKEN else 8)
    (found,) = run.database.sas
    assert (found.traffic.packets, found.sequence.unique, found.sequence.lost) == (8, 8, 0)


@pytest.mark.parametrize("suite", ["aes128gcm16", "aes128-sha256"])
def test_extended_sequence_numbers_pass_their_upper_half_on(native: object, suite: str) -> None:
    sa = sender(suite, esn=True)
    packets = sealed(sa, 8, start=(1 << 32) - 4)
    run = Run(native, SaDatabase([keys_of(sa)])).over([record(packet) for packet in packets])
    assert (len(run.packets), run.slow) == (8, 1)
    assert run.database.sas[0].sequence.highest == (1 << 32) + 3


def test_without_esn_the_number_does_not_wrap(native: object) -> None:
    sa = sender("aes128gcm16")
    packets = [*sealed(sa, 4, start=(1 << 32) - 4), *sealed(sa, 1, start=0)]
    run = Run(native, SaDatabase([keys_of(sa, esn=False)])).over([record(packet) for packet in packets])
    assert run.slow == 2


def test_reordered_lost_and_repeated_packets_go_the_slow_way_and_are_counted(native: object) -> None:
    sa = sender("aes128gcm16")
    packets = sealed(sa, 20)
    order = [0, 1, 2, 4, 3, 5, 6, 6, 10, 11, 12]
    run = Run(native, SaDatabase([keys_of(sa)])).over([record(packets[n]) for n in order])
    track = run.database.sas[0].sequence
    assert (track.lost, track.late, track.replayed, track.unique) == (3, 1, 1, 10)
    assert len(run.packets) == 11
    assert run.slow == 5


def _damaged(packet: bytes) -> bytes:
    return packet[:-1] + bytes((packet[-1] ^ 1,))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda packet: record(_damaged(packet)),
        lambda packet: record(packet, wire=2000),
        lambda packet: record(packet[:10]),
        lambda packet: record(packet[:6] + b"\x20\x00" + packet[8:]),
        lambda packet: record(b"\x46" + packet[1:]),
        lambda packet: record(build_ipv4(packet[12:16], packet[16:20], 6, packet[20:])),
        lambda _packet: record(b""),
    ],
    ids=["icv", "truncated", "short", "fragment", "options", "tcp", "empty"],
)
def test_it_leaves_what_is_not_plain(native: object, spoil: Callable[[bytes], bytes]) -> None:
    sa = sender("aes128gcm16")
    packets = sealed(sa, 3)
    run = Run(native, SaDatabase([keys_of(sa)])).over([record(packets[0]), spoil(packets[1]), record(packets[1])])
    assert run.packets[-1] == INNER_V6
    assert run.slow >= 2


@pytest.mark.parametrize("mode", Mode)
def test_transport_mode_tfc_padding_and_dummies_go_the_slow_way(native: object, mode: Mode) -> None:
    sa = sender("aes128gcm16", mode=mode, pads_to=200 if mode is Mode.TUNNEL else 0)
    run = Run(native, SaDatabase([keys_of(sa)])).over([record(protect(sa, INNER, seeded(n))) for n in range(3)])
    assert len(run.packets) == run.slow == 3


def test_raw_ip_and_ethernet_padding_are_fine(native: object) -> None:
    sa = sender("aes128gcm16")
    packets = sealed(sa, 4)
    raw = Run(native, SaDatabase([keys_of(sa)]), link_type=101).over([record(p, ethernet=False) for p in packets])
    padded = Run(native, SaDatabase([keys_of(sa)])).over([record(packet + bytes(9)) for packet in packets])
    assert (raw.slow, padded.slow) == (1, 1)
    assert raw.packets == padded.packets


def test_a_full_output_goes_on_where_it_stopped_and_many_sas_find_room(native: object) -> None:
    sas = [sender("aes128gcm16", spi=(0x1000 + n).to_bytes(4, "big"), seed=n) for n in range(150)]
    records = [record(protect(sa, INNER, seeded(n))) for n in range(6) for sa in sas]
    run = Run(native, SaDatabase(map(keys_of, sas))).over(records, room=RESERVE + 500)
    assert (len(run.packets), run.slow) == (900, 150)
    assert {sa.traffic.packets for sa in run.database.sas} == {6}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 199), st.integers(0, 255)), max_size=8),
    st.integers(0, 200),
    st.sampled_from(["aes128gcm16", "aes128-sha256"]),
)
def test_damaged_files_never_disturb_it(native: object, edits: list, cut: int, suite: str) -> None:
    sa = sender(suite)
    records = [bytearray(record(packet)) for packet in sealed(sa, 6)]
    for number, place, value in edits:
        records[number][place % len(records[number])] = value
    data = b"".join(records)
    run = Run(native, SaDatabase([keys_of(sa)])).over([data[: len(data) - cut]])
    assert set(run.packets) <= {INNER, INNER_V6} or edits


def test_an_algorithm_of_the_suite_list_is_known_to_one_path_at_least() -> None:
    assert set(SUITES) >= TAKEN
    for suite in SUITES:
        assert parse_suite(suite)
