"""Archives for the kernel: read back by a reader of another make (cpio), and equal for equal contents."""

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.lab.vm.cpio import CpioWriter


def archive(contents: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    writer = CpioWriter(file)
    writer.directory("a")
    for name, data in contents.items():
        writer.file(f"a/{name}", data, 0o755)
    writer.symlink("link", "a/target")
    writer.character_device("console", 5, 1)
    writer.close()
    return file.getvalue()


def entries(data: bytes) -> dict[str, tuple[int, bytes]]:
    """A reader by the format's text: name -> (mode, data), up to the first trailer."""
    at, found = 0, {}
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        size, length = fields[6], fields[11]
        name = data[at + 110 : at + 110 + length - 1].decode()
        start = (at + 110 + length + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], data[start : start + size])
        at = (start + size + 3) & ~3


@given(st.dictionaries(st.from_regex(r"[a-z]{1,12}", fullmatch=True), st.binary(max_size=70), max_size=6))
def test_what_goes_in_comes_out(contents: dict[str, bytes]) -> None:
    data = archive(contents)
    found = entries(data)
    assert {name.removeprefix("a/"): one for name, (_, one) in found.items() if name.startswith("a/")} == contents
    assert found["link"] == (0o120777, b"a/target")
    assert found["console"][0] == 0o020600
    assert len(data) % 512 == 0
    assert data == archive(contents)


def test_another_program_unpacks_it(tmp_path: Path) -> None:
    if not shutil.which("cpio"):
        pytest.skip("cpio is not installed")
    joined = archive({"x": b"one"}) + archive({"y": b"two" * 100})
    listed = subprocess.run(["cpio", "-t", "--quiet"], input=joined, capture_output=True, check=True, cwd=tmp_path)
    assert listed.stdout.split()[:3] == [b"a", b"a/x", b"link"]
