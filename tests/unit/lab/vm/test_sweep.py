"""What a killed process left half-written in the cache is deleted, what is being written is not."""

import fcntl
from pathlib import Path

import pytest

from ipsectest.lab.vm import image
from ipsectest.lab.vm.snapshot import SAVING
from ipsectest.lab.vm.sweep import sweep


@pytest.mark.parametrize(
    ("name", "lock"), [(f"{SAVING}snapshot-1", "snapshot-1.lock"), (f"{image._BUILDING}x7", ".lock")]
)
def test_unfinished_files_go_unless_somebody_writes_them(tmp_path: Path, name: str, lock: str) -> None:
    unfinished, whole = tmp_path / name, tmp_path / "snapshot-2"
    unfinished.touch()
    whole.touch()
    with (tmp_path / lock).open("w") as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        assert sweep(tmp_path) == []
        assert unfinished.exists()
    assert sweep(tmp_path) == [unfinished]
    assert not unfinished.exists()
    assert whole.exists()
    assert sweep(tmp_path / "nowhere") == []
