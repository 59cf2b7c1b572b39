"""Captures of every kind, as the tools write them that everybody has, read frame by frame as tshark reads them."""

import bz2
import gzip
import io
import lzma
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipsectest.base.errors import InputError
from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.frames import Frame
from tests.unit.decrypt.test_unwrap import PCAPS

SAMPLE = PCAPS / "strongswan-initiator-psk-natt-aes128gcm16.pcapng"
EDITCAP = ["pcap", "nsecpcap", "modpcap", "pcapng"]


def run(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout


def frames(path: Path | str) -> list[Frame]:
    capture = open_capture(path)
    try:
        return [Frame(f.number, f.nanoseconds, f.interface, bytes(f.data), f.length) for f in capture.frames()]
    finally:
        capture.close()


def told_by_tshark(path: Path) -> list[tuple[int, int, int, int]]:
    fields = [part for name in ("number", "time_epoch", "cap_len", "len") for part in ("-e", f"frame.{name}")]
    lines = run("tshark", "-n", "-r", str(path), "-T", "fields", *fields).splitlines()
    told = []
    for line in lines:
        number, time, captured, length = line.split("\t")
        seconds, _, fraction = time.partition(".")
        told.append((int(number), int(seconds) * 10**9 + int(fraction.ljust(9, "0")[:9]), int(captured), int(length)))
    return told


@pytest.mark.parametrize("kind", EDITCAP)
@pytest.mark.parametrize("snap", [0, 60], ids=["whole", "truncated"])
def test_it_reads_what_editcap_writes_as_tshark_does(kind: str, snap: int, tmp_path: Path) -> None:
    path = tmp_path / "out"
    run("editcap", "-F", kind, *(["-s", str(snap)] if snap else []), str(SAMPLE), str(path))
    ours = frames(path)
    assert [(f.number, f.nanoseconds, len(f.data), f.length) for f in ours] == told_by_tshark(path)
    if not snap:
        assert [f.data for f in ours] == [f.data for f in frames(SAMPLE)]


def test_it_reads_several_interfaces_and_sections(tmp_path: Path) -> None:
    merged, joined = tmp_path / "merged.pcapng", tmp_path / "joined.pcapng"
    others = sorted(PCAPS.glob("*.pcapng"))[:3]
    run("mergecap", "-I", "none", "-w", str(merged), *map(str, others))
    joined.write_bytes(b"".join(path.read_bytes() for path in others))
    for path in (merged, joined):
        capture = open_capture(path)
        ours = list(capture.frames())
        assert [(f.number, f.nanoseconds, len(f.data), f.length) for f in ours] == told_by_tshark(path)
        assert len(capture.interfaces) == 3
        capture.close()


def swapped(data: bytes) -> bytes:
    """A classic file in the other byte order."""
    out = struct.pack(">IHHiIII", *struct.unpack_from("<IHHiIII", data))
    at = 24
    while at < len(data):
        header = struct.unpack_from("<IIII", data, at)
        out += struct.pack(">IIII", *header) + data[at + 16 : at + 16 + header[2]]
        at += 16 + header[2]
    return out


def classic(tmp_path: Path) -> bytes:
    path = tmp_path / "classic.pcap"
    run("editcap", "-F", "pcap", str(SAMPLE), str(path))
    return path.read_bytes()


def test_the_byte_order_does_not_matter(tmp_path: Path) -> None:
    data = classic(tmp_path)
    other = tmp_path / "other"
    other.write_bytes(swapped(data))
    assert frames(other) == frames(tmp_path / "classic.pcap")


def zstd(data: bytes) -> bytes:
    module = pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    return module.compress(data)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zstd, "lz4"])
def test_compression_does_not_matter(compress: object, tmp_path: Path) -> None:
    if compress == "lz4":
        compress = pytest.importorskip("lz4.frame").compress
    data = classic(tmp_path)
    packed = tmp_path / "packed"
    packed.write_bytes(compress(data))
    assert frames(packed) == frames(tmp_path / "classic.pcap")
    broken = tmp_path / "broken"
    broken.write_bytes(compress(data)[:-300])
    if compress not in {gzip.compress, lzma.compress}:  # of a block that is not whole nothing can be had
        with pytest.raises(InputError, match="breaks off"):
            open_capture(broken)
        return
    capture = open_capture(broken)
    found = list(capture.frames())
    assert len(found) < 60
    assert capture.notes
    capture.close()


def test_a_pipe_is_read(tmp_path: Path) -> None:
    data = classic(tmp_path)
    program = (
        "from ipsectest.decrypt.capture import open_capture; c = open_capture('-');"
        "print(sum(len(f.data) for f in c.frames()), c.position()[1])"
    )
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True, timeout=60)
    assert done.stdout.split() == [str(sum(len(f.data) for f in frames(tmp_path / "classic.pcap"))).encode(), b"None"]


@pytest.mark.parametrize("cut", [1, 17, 100])
def test_what_breaks_off_is_read_up_to_there(cut: int, tmp_path: Path) -> None:
    for source in (SAMPLE.read_bytes(), classic(tmp_path)):
        path = tmp_path / "cut"
        path.write_bytes(source[:-cut])
        capture = open_capture(path)
        found = list(capture.frames())
        assert len(found) in range(40, 80)
        assert "breaks off" in capture.notes[-1]
        assert f"after {len(found)} frames" in capture.notes[-1]
        capture.close()


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"", "is empty"), (b"\x7fELF" + bytes(60), "is no capture"), (gzip.compress(b"text"), "gzip")],
    ids=["empty", "elf", "gzip"],
)
def test_what_is_no_capture_says_so(data: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(InputError, match=text):
        open_capture(path)
    with pytest.raises(InputError, match="cannot be read"):
        open_capture(tmp_path / "missing")


def test_a_file_larger_than_the_window_takes_constant_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.pcap"
    record = struct.pack("<IIII", 1, 2, 1000, 1000) + bytes(1000)
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for _ in range(20):
            file.write(record * 1000)
    capture = open_capture(path)
    assert sum(1 for _ in capture.frames()) == 20_000
    assert len(capture.window.buffer) < 1 << 20
    assert capture.position() == (path.stat().st_size, path.stat().st_size)
    capture.close()


DATA = [SAMPLE.read_bytes()]


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), max_size=12),
    cut=st.integers(0, 3000),
    is_classic=st.booleans(),
)
def test_damaged_files_end_with_a_note_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, edits: list, cut: int, is_classic: bool
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    if is_classic and len(DATA) == 1:
        DATA.append(classic(folder))
    data = bytearray(DATA[is_classic])
    for place, value in edits:
        data[place % min(len(data), 2000 if place % 2 else len(data))] = value
    path = folder / "file"
    path.write_bytes(data[: len(data) - cut])
    try:
        capture = open_capture(path)
    except InputError:
        return
    assert sum(len(frame.data) for frame in capture.frames()) <= len(data)
    capture.close()


def test_a_reader_may_be_a_stream_that_gives_little_at_once() -> None:
    from ipsectest.decrypt.capture.window import Window

    class Slow(io.RawIOBase):
        def __init__(self) -> None:
            self.rest = SAMPLE.read_bytes()

        def readinto(self, buffer: memoryview) -> int:
            piece, self.rest = self.rest[:7], self.rest[7:]
            buffer[: len(piece)] = piece
            return len(piece)

    from ipsectest.decrypt.capture.pcapng import PcapngFile

    capture = PcapngFile(Window(Slow()), "slow", [])
    assert [bytes(f.data) for f in capture.frames()] == [f.data for f in frames(SAMPLE)]
