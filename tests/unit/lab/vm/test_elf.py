"""What files ask of the loader, compared with what this machine's own tools say; damaged files are no ELF."""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.lab.vm.elf import demands, section
from ipsectest.lab.vm.kernel import modinfo, uncompressed

SHELL = Path("/bin/sh").resolve().read_bytes()


def made_module(info: bytes) -> bytes:
    """A file with two sections: names and .modinfo."""
    names = b"\0.shstrtab\0.modinfo\0"
    table = 64 + len(names) + len(info)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, table, 0, 64, 0, 0, 64, 3, 1
    )
    entry = "<IIQQQQIIQQ"
    headers = struct.pack(entry, *[0] * 10)
    headers += struct.pack(entry, 1, 3, 0, 0, 64, len(names), 0, 0, 1, 0)
    headers += struct.pack(entry, 11, 1, 0, 0, 64 + len(names), len(info), 0, 0, 1, 0)
    return header + names + info + headers


def test_a_program_names_its_loader_and_libraries() -> None:
    if not shutil.which("readelf"):
        found = demands(SHELL)
        assert found
        assert "libc.so.6" in found.needed
        return
    said = subprocess.run(["readelf", "-d", "-l", sys.executable], capture_output=True, text=True, check=True).stdout
    found = demands(Path(sys.executable).resolve().read_bytes())
    assert found
    assert found.interpreter in said
    assert list(found.needed) == [line.split("[")[1].rstrip("]") for line in said.splitlines() if "(NEEDED)" in line]


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF\x02\x01", b"\x7fELF\x01\x01" + bytes(100), SHELL[:64]])
def test_other_files_demand_nothing(data: bytes) -> None:
    assert demands(data) is None


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_damage_never_raises(at: int, patch: bytes) -> None:
    damaged = SHELL[:at] + patch + SHELL[at + len(patch) :]
    demands(damaged)
    section(damaged, ".dynstr")
    demands(damaged[: at + 64])


def test_modinfo_is_read_pair_by_pair() -> None:
    data = made_module(b"depends=xfrm_algo,gcm\0alias=xfrm-type-2-50\0alias=esp4\0license=GPL\0broken\0")
    assert list(modinfo(data)) == [
        ("depends", "xfrm_algo,gcm"),
        ("alias", "xfrm-type-2-50"),
        ("alias", "esp4"),
        ("license", "GPL"),
    ]
    assert section(data, ".nothing") == b""


@given(st.binary(max_size=700))
def test_a_kernel_without_a_known_wrapper_stays_as_it_is(data: bytes) -> None:
    assert uncompressed(data) == data
