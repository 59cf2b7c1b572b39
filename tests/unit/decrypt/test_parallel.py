"""A file on several cores: the same packets and the same sums as on one."""

import multiprocessing
import os
import resource
import signal
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import IP, fragment
from scapy.utils import RawPcapNgReader

from ipsectest.decrypt.capture import open_capture, parts
from ipsectest.decrypt.capture.parts import cut, ended_at_its_end, open_part
from ipsectest.decrypt.crew import ForkedCrew, WorkerError
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.output import InterfaceNumbers, Output
from ipsectest.decrypt.parallel import Workers, decrypt_in_parts
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.summary import summary
from ipsectest.decrypt.worker import Conditions, decrypt_one
from ipsectest.ipsec.packets import protect
from ipsectest.net.pcapng import LINKTYPE_ETHERNET, PcapngWriter
from tests.unit.decrypt.test_ike import ike_keys, messages
from tests.unit.decrypt.test_native import record
from tests.unit.decrypt.test_unwrap import INNER, INNER_V6, PCAPS, keys_of, sender
from tests.unit.ipsec.sas import seeded

NAME = "strongswan-responder-psk-aes128gcm16"
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SMALLEST", 4096)


def sealed(count: int) -> tuple[KeyRing, list[bytes]]:
    sas = [sender("aes128gcm16", spi=(0x1000 + n).to_bytes(4, "big"), seed=n) for n in range(3)]
    packets = [protect(sas[n % 3], (INNER, INNER_V6)[n % 2], seeded(n)) for n in range(count)]
    ring = KeyRing()
    ring.sas += map(keys_of, sas)
    return ring, packets


def write(path: Path, packets: list[bytes], *, classic: bool) -> Path:
    if classic:
        path.write_bytes(HEADER + b"".join(record(packet, 1_700_000_000 + n) for n, packet in enumerate(packets)))
        return path
    with PcapngWriter(path.open("wb")) as writer:
        interface = writer.add_interface("eth0", LINKTYPE_ETHERNET)
        for n, packet in enumerate(packets):
            writer.packet(n * 1000, bytes(12) + b"\x08\x00" + packet, interface=interface)
    return path


def run(path: Path, ring: KeyRing, out: Path, workers: int, *, with_outer: bool = False) -> dict:
    with out.open("wb") as file:
        output = Output(file, with_outer=with_outer)
        decryption = Decryption(ring, output)
        if workers == 1:
            capture = open_capture(path)
            decrypt_one(decryption, capture, output, fast=True)
            capture.close()
        else:
            assert not decrypt_in_parts(decryption, path, ring, output, Workers(workers))
    return summary(decryption)


def packets_of(path: Path) -> Iterator[bytes]:
    with RawPcapNgReader(str(path)) as reader:
        for data, _ in reader:
            yield data


@pytest.mark.parametrize("classic", [True, False], ids=["pcap", "pcapng"])
@pytest.mark.parametrize("workers", [2, 3, 5])
def test_several_workers_find_what_one_finds(classic: bool, workers: int, tmp_path: Path) -> None:
    ring, packets = sealed(600)
    del packets[100:105], packets[400]
    path = write(tmp_path / "in", packets, classic=classic)
    assert len(list(cut(path, 20_000))) > 3
    alone, together = run(path, ring, tmp_path / "one", 1), run(path, ring, tmp_path / "many", workers)
    assert together == alone
    assert sum(sa["lost"] for sa in together["sas"]) == 6
    assert (tmp_path / "many").read_bytes() == (tmp_path / "one").read_bytes()
    assert sorted(tmp_path.iterdir()) == [tmp_path / name for name in ("in", "many", "one")]


@pytest.mark.parametrize("classic", [True, False], ids=["pcap", "pcapng"])
def test_parts_together_are_the_file(classic: bool, tmp_path: Path) -> None:
    _, packets = sealed(500)
    path = write(tmp_path / "in", packets, classic=classic)
    found = []
    for part in cut(path, 4096):
        capture = open_part(part)
        found += [bytes(frame.data)[14:] for frame in capture.frames()]
        assert ended_at_its_end(capture)
        capture.close()
    assert found == packets


def test_a_cut_that_is_no_frame_is_noticed(tmp_path: Path) -> None:
    """Packets whose content looks like records of a capture, as when captures are copied over the network."""
    ring, packets = sealed(50)
    decoy = struct.pack("<IIII", 1_700_000_000, 0, 40, 40) + bytes(40)
    path = write(tmp_path / "in", [*packets, *(decoy * 25 for _ in range(200))], classic=True)
    with (tmp_path / "out").open("wb") as file:
        why = decrypt_in_parts(Decryption(ring), path, ring, Output(file), Workers(2))
    assert "cannot be cut" in why
    assert (tmp_path / "out").stat().st_size < 300


def test_keys_that_one_part_tells_open_the_parts_behind_it(tmp_path: Path) -> None:
    """The handshake lies at the beginning, its Child SA's packets fill the file."""
    with RawPcapNgReader(str(PCAPS / f"{NAME}.pcapng")) as reader:
        frames = [bytes(data) for data, _ in reader]
    ike = list(messages(NAME))
    path = tmp_path / "in"
    with PcapngWriter(path.open("wb")) as writer:
        writer.add_interface("any")
        for n in range(40):
            for frame in frames if n == 0 else [one for one in frames if one[9] == 50]:
                writer.packet(n, frame)
    ring = KeyRing()
    ring.ike += list(ike_keys(NAME))[:1]
    assert len(ike) > 10
    alone, together = run(path, ring, tmp_path / "one", 1), run(path, ring, tmp_path / "many", 4)
    assert together["derived"] == alone["derived"] > 0
    assert together["opened"] == alone["opened"] > 400
    assert list(packets_of(tmp_path / "many")) == list(packets_of(tmp_path / "one"))


def test_what_cannot_be_cut_is_left_to_one(tmp_path: Path) -> None:
    import gzip

    ring, packets = sealed(100)
    whole = write(tmp_path / "in", packets, classic=True)
    packed, short, empty, other = (tmp_path / name for name in ("packed", "short", "empty", "other byte order"))
    packed.write_bytes(gzip.compress(whole.read_bytes()))
    short.write_bytes(whole.read_bytes()[:3000])
    empty.write_bytes(HEADER)
    section = struct.pack(">IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    section += struct.pack(">IIHHII", 1, 20, 101, 0, 0, 20)
    other.write_bytes(section + struct.pack(">8I4xI", 6, 40, 0, 0, 0, 4, 4, 0x45000000, 40) * 1000)
    for path in (packed, short, empty, other):
        assert not list(cut(path, 4096))
        assert decrypt_in_parts(Decryption(ring), path, ring, None, Workers(4))


def test_an_interface_that_is_declared_late_keeps_the_file_whole(tmp_path: Path) -> None:
    ring, packets = sealed(300)
    path = tmp_path / "in"
    interface = 0
    with PcapngWriter(path.open("wb")) as writer:
        for n, packet in enumerate(packets):
            interface = writer.add_interface(f"eth{n}", LINKTYPE_ETHERNET) if n in {0, 20} else interface
            writer.packet(n * 1000, bytes(12) + b"\x08\x00" + packet, interface=interface)
    assert len(list(cut(path, 4096))) > 3
    assert decrypt_in_parts(Decryption(ring), path, ring, None, Workers(3))


def test_nothing_is_left_of_parts_when_a_later_one_does_not_fit(tmp_path: Path) -> None:
    """Frames of an interface that only the last part declares: the whole is done again by one process."""
    ring, packets = sealed(3000)
    path = tmp_path / "in"
    interface = 0
    with PcapngWriter(path.open("wb")) as writer:
        for n, packet in enumerate(packets):
            interface = writer.add_interface(f"eth{n}", LINKTYPE_ETHERNET) if n in {0, 2900} else interface
            writer.packet(n * 1000, bytes(12) + b"\x08\x00" + packet, interface=interface)
    with (tmp_path / "out").open("wb") as file:
        output = Output(file)
        decryption = Decryption(ring, output)
        assert decrypt_in_parts(decryption, path, ring, output, Workers(2))
        assert output.written == 0
        assert decryption.totals.frames == 0
    assert list(packets_of(tmp_path / "out")) == []


def test_fragments_on_both_sides_of_a_cut_are_put_together(tmp_path: Path) -> None:
    """Every packet in two fragments: whatever the cut, one of them is the last of a part."""
    ring, packets = sealed(300)
    fragments = [piece for n, packet in enumerate(packets) for piece in in_two(packet, n)]
    path = write(tmp_path / "in", fragments, classic=False)
    assert len(list(cut(path, 4096))) > 5
    alone, together = run(path, ring, tmp_path / "one", 1), run(path, ring, tmp_path / "many", 3)
    assert alone["opened"] == 300
    assert together == alone
    assert list(packets_of(tmp_path / "many")) == list(packets_of(tmp_path / "one"))


def in_two(packet: bytes, number: int) -> list[bytes]:
    ip = IP(packet)
    ip.id = number + 1
    return [bytes(piece) for piece in fragment(ip, (len(ip.payload) // 2 + 7) // 8 * 8)]


def test_outer_frames_come_along(tmp_path: Path) -> None:
    ring, packets = sealed(300)
    path = write(tmp_path / "in", packets, classic=True)
    for name, workers in (("one", 1), ("many", 3)):
        run(path, ring, tmp_path / name, workers, with_outer=True)
    assert list(packets_of(tmp_path / "many")) == list(packets_of(tmp_path / "one"))


def test_an_interruption_leaves_what_was_done(tmp_path: Path) -> None:
    ring, packets = sealed(2000)
    path = write(tmp_path / "in", packets, classic=True)

    def step(done: int, of: int) -> None:
        if done > of // 3:
            raise KeyboardInterrupt

    decryption = Decryption(ring)
    with (tmp_path / "out").open("wb") as file:
        output = Output(file)
        with pytest.raises(KeyboardInterrupt):
            decrypt_in_parts(decryption, path, ring, output, Workers(2, step=step))
    left = list(packets_of(tmp_path / "out"))
    assert 0 < len(left) < 2000
    assert len(left) == decryption.totals.opened == output.written
    assert left == [(INNER, INNER_V6)[n % 2] for n in range(len(left))]
    assert not multiprocessing.active_children()


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    ring, packets = sealed(300)
    path = write(tmp_path / "in", packets, classic=True)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
    try:
        with (tmp_path / "out").open("wb") as file, pytest.raises(OSError, match="too large"):
            decrypt_in_parts(Decryption(ring), path, ring, Output(file), Workers(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def test_a_worker_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring, packets = sealed(300)
    path = write(tmp_path / "in", packets, classic=True)
    monkeypatch.setattr("ipsectest.decrypt.worker.work_off", lambda *_: os._exit(1))
    with pytest.raises(WorkerError, match="--jobs 1"):
        decrypt_in_parts(Decryption(ring), path, ring, None, Workers(2))


def test_a_header_read_one_octet_early_is_not_taken_for_a_frame(tmp_path: Path) -> None:
    """Of microseconds the highest octet is 0: what looks like a longer frame may end where one begins."""
    frames = [record(bytes(length), 1_700_000_000, ethernet=False) for length in (0x10, 31, *(0x10,) * 400)]
    before = record(bytes(4095) + b"\x8e", 1_700_000_000, ethernet=False)
    path = tmp_path / "in"
    path.write_bytes(HEADER + before + b"".join(frames))  # 0x1000 octets and a header lead to the end of the 128th
    assert next(cut(path, 4096)).end == len(HEADER + before)


def test_workers_end_that_take_no_notice_of_a_polite_signal() -> None:
    """As one does that gets it right behind the fork, where it still has the handler of the command."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        crew = ForkedCrew(2, Conditions(KeyRing(), None, InterfaceNumbers()))
    finally:
        signal.signal(signal.SIGTERM, before)
    dismissing = threading.Thread(target=crew.dismiss, daemon=True)
    dismissing.start()
    dismissing.join(20)
    ended = not dismissing.is_alive()
    for child in multiprocessing.active_children():
        child.kill()
    assert ended
