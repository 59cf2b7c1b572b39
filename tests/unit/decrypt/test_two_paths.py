"""Captures that the fast path and the slow one have to read alike, where they once did not."""

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.native import library
from ipsectest.decrypt.output import Output
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.worker import decrypt_one
from ipsectest.ipsec.esp import Forced
from ipsectest.ipsec.packets import protect
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.wire.ip import UDP, build_ipv4, build_ipv6, build_udp
from tests.growth import SQUARE, growth
from tests.unit.decrypt.test_native import sealed
from tests.unit.decrypt.test_unwrap import INNER, INNER_V6, keys_of, sender
from tests.unit.ipsec.sas import seeded


def frames(path: Path, sa: SecurityAssociation, *, fast: bool) -> tuple[list[tuple[int, bytes]], Decryption]:
    """Time and octets of what is decrypted."""
    file = io.BytesIO()
    output = Output(file)
    run = Decryption(KeyRing(sas=[keys_of(sa)]), output)
    capture = open_capture(path)
    decrypt_one(run, capture, output, fast=fast)
    capture.close()
    made = path.with_suffix(".out")
    made.write_bytes(file.getvalue())
    again = open_capture(made)
    found = [(frame.nanoseconds, bytes(frame.data)) for frame in again.frames()]
    again.close()
    return found, run


def both(path: Path, sa: SecurityAssociation) -> list[tuple[int, bytes]]:
    if library.load() is None:
        pytest.skip("the fast path was not built")
    fast, slow = frames(path, sa, fast=True), frames(path, sa, fast=False)
    assert fast[0] == slow[0]
    assert fast[1].totals == slow[1].totals
    mine, theirs = fast[1].sas.sas[0], slow[1].sas.sas[0]
    assert (mine.traffic, mine.failures) == (theirs.traffic, theirs.failures)
    assert (mine.sequence.highest, mine.sequence.replayed) == (theirs.sequence.highest, theirs.sequence.replayed)
    return fast[0]


def pcap(packets: list[bytes]) -> bytes:
    made = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)]
    for number, packet in enumerate(packets):
        made.append(struct.pack("<IIII", number, 0, len(packet), len(packet)) + packet)
    return b"".join(made)


def pcapng(packets: list[bytes], *, resolution: int, high: int) -> bytes:
    option = struct.pack("<HHB3xI", 9, 1, resolution, 0)
    made = [struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)]
    made.append(struct.pack("<IIHHI", 1, 32, 101, 0, 0) + option + struct.pack("<I", 32))
    for number, packet in enumerate(packets):
        length = 32 + len(packet) + -len(packet) % 4
        head = struct.pack("<7I", 6, length, 0, high, number, len(packet), len(packet))
        made.append(head + packet + bytes(-len(packet) % 4) + struct.pack("<I", length))
    return b"".join(made)


@pytest.mark.parametrize("ports", [(4500, 4500), (61000, 4500), (61000, 61001), (500, 61000), (53, 53)])
def test_ports_do_not_matter_where_the_spi_is_known(ports: tuple[int, int], tmp_path: Path) -> None:
    sa = sender("aes128gcm16", udp_ports=ports)
    path = tmp_path / "capture"
    path.write_bytes(pcap(sealed(sa, 40)))
    assert [data for _, data in both(path, sa)] == [INNER, INNER_V6] * 20
    capture, run = open_capture(path), Decryption(KeyRing(sas=[keys_of(sa)]))
    run.looked = lambda: slow.append(1)
    slow: list[int] = []
    decrypt_one(run, capture, Output(io.BytesIO()), fast=True)
    capture.close()
    assert len(slow) <= 2


def test_outer_checksums_that_a_network_card_fills_in_are_no_obstacle(tmp_path: Path) -> None:
    sa = sender("aes128gcm16")
    packets = [packet[:10] + b"\0\0" + packet[12:] for packet in sealed(sa, 4)]
    path = tmp_path / "capture"
    path.write_bytes(pcap(packets))
    assert [data for _, data in both(path, sa)] == [INNER, INNER_V6, INNER, INNER_V6]


def test_an_inner_header_with_a_wrong_checksum_is_none_for_both(tmp_path: Path) -> None:
    sa = sender("aes128gcm16")
    wrong = INNER[:10] + b"\1\2" + INNER[12:]
    path = tmp_path / "capture"
    path.write_bytes(pcap([protect(sa, inner, seeded(1)) for inner in (INNER, wrong, INNER)]))
    assert [data for _, data in both(path, sa)] == [INNER, INNER]


def test_a_number_that_only_the_slow_path_took_is_known_to_the_fast_one(tmp_path: Path) -> None:
    """The second packet is genuine and holds no IP packet; the third has its number again."""
    sa = sender("aes128gcm16")
    first, second = protect(sa, INNER, seeded(1)), protect(sa, b"\x45" + bytes(40), seeded(2))
    again = protect(sa, INNER, seeded(3), Forced(sequence=2))
    path = tmp_path / "capture"
    path.write_bytes(pcap([first, second, again]))
    both(path, sa)
    _, run = frames(path, sa, fast=True)
    assert run.sas.sas[0].sequence.replayed == 1


def nested(marked: bytes) -> Iterator[tuple[str, bytes]]:
    """Packets of a tunnel that hold IPsec or IKE again."""
    core = sender("aes128gcm16", spi=b"\0\0\1\1", udp_ports=None)
    yield "esp", protect(core, INNER, seeded(1))
    yield "esp in udp", protect(sender("aes128gcm16", spi=b"\0\0\1\1", udp_ports=(4500, 40000)), INNER, seeded(1))
    yield "ah", build_ipv4(b"\xc0\0\2\1", b"\xc0\0\2\2", 51, bytes(40))
    yield "behind options", build_ipv6(bytes(16), bytes(16), 60, b"\x32\0" + bytes(6) + b"\0\0\1\1" + bytes(40))
    for name, ports in (("ike", (500, 500)), ("ike on 4500", (4500, 4500)), ("ike elsewhere", (1, 2))):
        data = build_udp(bytes(4), bytes(4), *ports, marked if 500 not in ports else marked[4:])
        yield name, build_ipv4(bytes(4), bytes(4), UDP, data)


def test_ipsec_and_ike_inside_a_tunnel_are_opened_by_both(tmp_path: Path) -> None:
    sa, path = sender("aes128gcm16"), tmp_path / "capture"
    marked = bytes(4) + b"i" * 8 + bytes(8) + bytes((0, 0x20, 34, 8)) + bytes(4) + (28).to_bytes(4, "big")
    for name, inner in nested(marked):
        path.write_bytes(pcap([protect(sa, one, seeded(1)) for one in (INNER, inner, INNER)]))
        assert len(both(path, sa)) == 3, name
        _, run = frames(path, sa, fast=True)
        seen = run.totals.closed.total() + run.totals.ike
        assert seen == 1, name


def test_datagrams_of_zeros_go_the_fast_way(tmp_path: Path) -> None:
    """They begin as a non-ESP marker does."""
    sa, path = sender("aes128gcm16"), tmp_path / "capture"
    inner = build_ipv4(bytes(4), bytes(4), UDP, build_udp(bytes(4), bytes(4), 40000, 5001, bytes(100)))
    path.write_bytes(pcap([protect(sa, inner, seeded(n)) for n in range(50)]))
    assert len(both(path, sa)) == 50
    file = io.BytesIO()
    run, capture = Decryption(KeyRing(sas=[keys_of(sa)]), output := Output(file)), open_capture(path)
    looked: list[None] = []
    run.looked = lambda: looked.append(None)
    decrypt_one(run, capture, output, fast=True)
    capture.close()
    assert len(looked) == 1  # the first packet of the SA


def test_times_beyond_64_bits_are_the_same(tmp_path: Path) -> None:
    """``if_tsresol`` of seconds with an upper half that is not zero."""
    sa = sender("aes128gcm16")
    path = tmp_path / "capture"
    path.write_bytes(pcapng(sealed(sa, 4), resolution=0, high=1000))
    assert len(both(path, sa)) == 4


def interfaces(count: int, packet: bytes, *, name: bytes = b"") -> bytes:
    """A packet behind each interface, the last of which carries it."""
    made = [struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)]
    option = struct.pack("<HH", 2, len(name)) + name + bytes(-len(name) % 4)
    for number in range(count):
        made.append(
            struct.pack("<IIHHI", 1, 20 + len(option), 101, 0, 0) + option + struct.pack("<I", 20 + len(option))
        )
        length = 32 + len(packet) + -len(packet) % 4
        head = struct.pack("<7I", 6, length, number, 0, number, len(packet), len(packet))
        made.append(head + packet + bytes(-len(packet) % 4) + struct.pack("<I", length))
    return b"".join(made)


def test_an_interface_before_each_packet_costs_no_square_of_their_number(tmp_path: Path) -> None:
    sa, path = sender("aes128gcm16"), tmp_path / "capture"

    def task(count: int) -> None:
        path.write_bytes(interfaces(count, b"\x45" + bytes(19)))
        both(path, sa)

    assert growth(task, 400) < SQUARE / 2


def test_packets_of_later_interfaces_and_sections_go_the_fast_way(tmp_path: Path) -> None:
    sa, path = sender("aes128gcm16"), tmp_path / "capture"
    one, two, three, four = sealed(sa, 4)
    path.write_bytes(b"".join((interfaces(3, one), interfaces(2, two), interfaces(1, three), interfaces(5, four))))
    assert len(both(path, sa)) == 11


def test_names_of_interfaces_are_kept_in_part(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(interfaces(3, b"", name=b"e" * 60_000))
    capture = open_capture(path)
    assert sum(1 for _ in capture.frames()) == 3
    assert {len(one.name) for one in capture.interfaces} == {256}
    capture.close()


def test_records_with_a_longer_header_are_not_taken_for_others(tmp_path: Path) -> None:
    """Kuznetzov's pcap: its eight octets more could be the beginning of a packet that is none."""
    sa = sender("aes128gcm16")
    first, decoy = sealed(sa, 2)
    path = tmp_path / "capture"
    records = [(bytes(8), first), (decoy[:8], decoy[8:] + bytes(8))]
    path.write_bytes(
        struct.pack("<IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65535, 101)
        + b"".join(struct.pack("<IIII", 0, 0, len(data), len(data)) + before + data for before, data in records)
    )
    assert [data for _, data in both(path, sa)] == [INNER]
