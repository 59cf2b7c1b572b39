"""The fast path under sanitizers, short, and that they would notice."""

from pathlib import Path

import pytest

from ipsectest.decrypt.native.build import SOURCE
from tests.hostile.files.sanitize import build, run

COUNT = "150"
ENOUGH = "5000"
"""The first file that shows it ends the run: whatever the samples are, one of so many does (about one in 1,000)."""
CHECK = "payload < header || (be16(ip + 6) & 0x3fff) || payload > left"


def built(folder: Path, source: Path = SOURCE) -> Path:
    made = build(folder, source)
    if isinstance(made, str):
        pytest.skip(made)
    return made


def test_no_octet_outside_its_buffer(tmp_path: Path) -> None:
    assert run(built(tmp_path), "--count", COUNT).returncode == 0


def test_a_missing_check_is_noticed(tmp_path: Path) -> None:
    """The length that an IPv4 header claims is taken for true."""
    text = SOURCE.read_text()
    assert CHECK in text
    source = tmp_path / "esp.c"
    source.write_text(text.replace(CHECK, CHECK.removesuffix(" || payload > left")))
    assert run(built(tmp_path, source), "--count", ENOUGH, "--seed", "4").returncode not in {0, 2}
