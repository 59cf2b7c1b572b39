"""The journal: dead runs are cleaned, living ones and foreign things are left alone."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from ipsectest.base.errors import LabError
from ipsectest.lab.journal import Journal, Thing, clean, start_time


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path))
    return tmp_path


def boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def dead_journal(runtime: Path, run: str, *things: Thing, **owner: object) -> Path:
    """The journal of a run whose owner's pid now belongs to another process (here: our own)."""
    first = {"run": run, "pid": os.getpid(), "start": 1, "boot": boot()} | owner
    records = [first, *({"kind": t.kind, "name": t.name, "start": t.start} for t in things)]
    path = runtime / f"{run}.journal"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_a_living_run_is_left_alone(runtime: Path) -> None:
    journal = Journal("alive")
    made = runtime / "alive"
    made.mkdir()
    journal.add(Thing("directory", str(made)))
    assert clean() == []
    assert made.is_dir()
    journal.close()
    assert list(runtime.glob("*.journal")) == []


def test_a_dead_run_loses_its_directory_and_its_journal(runtime: Path) -> None:
    made = runtime / "dead"
    (made / "peer").mkdir(parents=True)
    thing = Thing("directory", str(made))
    path = dead_journal(runtime, "dead", thing)
    assert clean() == [thing]
    assert not made.exists()
    assert not path.exists()
    assert clean() == []


@pytest.mark.parametrize(
    "thing",
    [
        Thing("directory", "/nonexistent-but-foreign"),
        Thing("directory", "{runtime}/other"),
        Thing("directory", "{runtime}/dead/../other"),
        Thing("mount", "/proc"),
        Thing("namespace", "somebody"),
        Thing("namespace", "ipsectest-other-peer"),
        Thing("namespace", "ipsectest-dead-../../x"),
        Thing("process", str(os.getpid()), 0),
        Thing("process", str(os.getpid()), 12345),
        Thing("moon", "full"),
    ],
)
def test_a_damaged_journal_removes_nothing_foreign(runtime: Path, thing: Thing) -> None:
    other = runtime / "other"
    other.mkdir()
    named = Thing(thing.kind, thing.name.format(runtime=runtime), thing.start)
    dead_journal(runtime, "dead", named)
    assert clean() == []
    assert other.is_dir()
    assert Path("/proc/self").exists()


def test_a_half_written_line_ends_nothing(runtime: Path) -> None:
    made = runtime / "dead"
    made.mkdir()
    path = dead_journal(runtime, "dead", Thing("directory", str(made)))
    path.write_text(path.read_text() + '{"kind": "direc')
    assert clean() == [Thing("directory", str(made))]


@pytest.mark.parametrize("text", ["", "\n", "nonsense\n", '{"pid": 1}\n', '["a"]\n', '{"run": 1, "pid": "x"}\n'])
def test_a_journal_without_an_owner_is_only_thrown_away(runtime: Path, text: str) -> None:
    path = runtime / "odd.journal"
    path.write_text(text)
    assert clean() == []
    assert not path.exists()


def test_after_a_reboot_only_directories_are_meant(runtime: Path) -> None:
    made = runtime / "dead"
    made.mkdir()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        process = Thing("process", str(child.pid), start_time(child.pid))
        directory = Thing("directory", str(made))
        dead_journal(runtime, "dead", process, directory, boot="another")
        assert clean() == [directory]
        assert child.poll() is None
    finally:
        child.kill()
        child.communicate()


def test_a_process_is_ended_only_while_it_is_the_same(runtime: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = start_time(child.pid)
    assert started > 0
    dead_journal(runtime, "reused", Thing("process", str(child.pid), started + 1))
    assert clean() == []
    assert child.poll() is None
    dead_journal(runtime, "same", Thing("process", str(child.pid), started))
    assert clean() == [Thing("process", str(child.pid), started)]
    assert child.wait(5) == -9
    assert start_time(child.pid) == 0
    child.communicate()


def test_a_journal_that_is_being_opened_is_left_alone(runtime: Path) -> None:
    """Between its creation and its first line it names no owner."""
    path = runtime / "new.journal"
    handle = os.open(runtime, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)  # as Journal does while it writes that line
    path.touch()
    with ThreadPoolExecutor() as pool:
        cleaning = pool.submit(clean)
        assert not wait([cleaning], 0.2).done
        path.write_text(
            json.dumps({"run": "new", "pid": os.getpid(), "start": start_time(os.getpid()), "boot": boot()})
        )
        os.close(handle)
        assert cleaning.result(10) == []
    assert path.exists()


def test_what_cannot_be_removed_is_told_and_tried_again(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    things = [Thing("directory", str(runtime / "dead" / name)) for name in ("first", "second", "third")]
    for thing in things:
        Path(thing.name).mkdir(parents=True)
    path = dead_journal(runtime, "dead", *things)
    rmtree = shutil.rmtree

    def refusing(name: str) -> None:
        if name.endswith("second"):
            raise OSError(errno.EBUSY, "Device or resource busy", name)
        rmtree(name)

    monkeypatch.setattr(shutil, "rmtree", refusing)
    with pytest.raises(LabError, match=r"cannot remove directory .*second: Device or resource busy"):
        clean()
    assert [Path(thing.name).exists() for thing in things] == [False, True, False]
    assert path.exists()
    monkeypatch.undo()
    assert clean(runtime) == [things[1]]
    assert not path.exists()


def test_a_directory_that_grows_while_it_goes_is_removed_all_the_same(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that is dying may still write a file."""
    made = runtime / "dead"
    made.mkdir()
    dead_journal(runtime, "dead", Thing("directory", str(made)))
    rmdir = os.rmdir

    def late(*arguments: Any, **options: Any) -> None:
        monkeypatch.setattr(os, "rmdir", rmdir)
        (made / "socket").touch()
        rmdir(*arguments, **options)

    monkeypatch.setattr(os, "rmdir", late)
    assert clean() == [Thing("directory", str(made))]
    assert not made.exists()
