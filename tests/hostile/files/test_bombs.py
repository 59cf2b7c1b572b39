"""Small files that become large ones: time goes with what comes out of them, memory does not."""

import bz2
import gzip
import importlib
import lzma
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipsectest.base.errors import InputError
from ipsectest.decrypt.capture import open_capture
from tests.hostile.memory import resident
from tests.unit.decrypt.test_two_paths import pcap

MB = 1 << 20
SECTION = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)


def _zstd(data: bytes) -> bytes:
    return bytes(pytest.importorskip("backports.zstd").compress(data))


def _lz4(data: bytes) -> bytes:
    pytest.importorskip("lz4.frame")
    return bytes(importlib.import_module("lz4.frame").compress(data))


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1),
    "zstd": _zstd,
    "lz4": _lz4,
    "bzip2": lambda data: bz2.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
}


def bombs() -> Iterator[tuple[str, bytes]]:
    yield "a block that is not read", SECTION + struct.pack("<II", 0xBAD, 0xFFFFFFF0) + bytes(16 * MB)
    yield "a frame of which there is no end", pcap([]) + struct.pack("<IIII", 0, 0, 1 << 24, 1 << 24) + bytes(9 * MB)
    yield "a block of which there is no end", SECTION + struct.pack("<II", 6, 1 << 24) + bytes(9 * MB)
    yield "zeros", pcap([]) + bytes(2 * MB)
    yield "interfaces", SECTION + struct.pack("<IIHHII", 1, 20, 1, 0, 0, 20) * 30_000
    yield "sections", SECTION * 30_000


@pytest.mark.parametrize(
    ("bomb", "name"), [*((bomb, "zstd") for bomb, _ in bombs()), *(("zeros", name) for name in COMPRESSIONS)]
)
def test_memory_stays_small(bomb: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(COMPRESSIONS[name](dict(bombs())[bomb]))
    before = resident()
    capture = open_capture(path)
    most = before
    for count, _ in enumerate(capture.frames()):
        if count % 100_000 == 0:
            most = max(most, resident())
    capture.close()
    assert max(most, resident()) < before + 70
    assert len(capture.interfaces) <= 4096
    assert len(capture.notes) <= 100


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_a_bomb_in_a_bomb_is_no_capture(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(COMPRESSIONS[name](COMPRESSIONS[name](bytes(MB))))
    with pytest.raises(InputError, match=f"is {name} data"):
        open_capture(path)


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_many_empty_members_are_passed_over(name: str, tmp_path: Path) -> None:
    path = tmp_path / "members"
    path.write_bytes(COMPRESSIONS[name](b"") * 5000 + COMPRESSIONS[name](pcap([b"\x45" + bytes(40)])))
    capture = open_capture(path)
    assert sum(1 for _ in capture.frames()) == 1
    assert not capture.notes
    capture.close()


def test_the_dictionary_of_xz_is_limited(tmp_path: Path) -> None:
    """A header may ask for 4 GiB; the octets behind it are never looked at."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]
    path = tmp_path / "large.xz"
    path.write_bytes(lzma.compress(pcap([]), lzma.FORMAT_XZ, filters=filters))
    with pytest.raises(InputError, match="nothing that could be read"):
        open_capture(path)
