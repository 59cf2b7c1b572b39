"""What a run makes, written down before it is made: the memory that survives ``kill -9``.

One file of JSON lines per run. The first line names the owner by pid, start time and boot, because a pid alone
is reused; each further line is one thing. ``clean`` removes the things of dead owners and nothing else.
"""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyroute2 import netns

from ipsectest.base.errors import LabError
from ipsectest.lab.mounts import detach

PREFIX = "ipsectest-"
"""Every namespace of ours is called ``ipsectest-<run>-<name>``."""
KILL_WAIT = 5.0
"""Seconds that a killed process may take to be gone."""
_SHAPES = ({"run", "pid", "start", "boot"}, {"kind", "name", "start"})


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing made: kind ``namespace``, ``directory``, ``mount`` or ``process``.

    ``name`` is the namespace's name, an absolute path, or a pid; ``start`` is the start time of a process.
    """

    kind: str
    name: str
    start: int = 0

    def __str__(self) -> str:
        """``namespace ipsectest-3f2a-peer``."""
        return f"{self.kind} {self.name}"


def runtime_directory() -> Path:
    """Where journals and instance directories of this user live; created if missing, mode 0700.

    ``IPSECTEST_RUNTIME``, else ``/run/ipsectest`` for root, else below ``XDG_RUNTIME_DIR`` or the user's cache.
    """
    if given := os.environ.get("IPSECTEST_RUNTIME"):
        path = Path(given)
    elif os.geteuid() == 0 and os.access("/run", os.W_OK):
        path = Path("/run/ipsectest")
    elif runtime := os.environ.get("XDG_RUNTIME_DIR"):
        path = Path(runtime) / "ipsectest"
    else:
        path = Path.home() / ".cache" / "ipsectest" / "run"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def start_time(pid: int) -> int:
    """Start of a process in clock ticks since boot (field 22 of ``/proc/PID/stat``), 0 if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = stat[stat.rindex(")") + 2 :].split()  # the command name before it may contain anything
    return 0 if fields[0] in {"Z", "X"} else int(fields[19])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Journal:
    """The journal of one live run; ``add`` before making, ``remove`` at the end of the run."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.directory = runtime_directory()
        self._path = self.directory / f"{run}.journal"
        owner = os.getpid()
        with _locked(self.directory, fcntl.LOCK_SH):  # a cleaner must not see the file before its first line
            self._file = self._path.open("x", encoding="ascii")
            self._write({"run": run, "pid": owner, "start": start_time(owner), "boot": _boot()})

    def add(self, thing: Thing) -> None:
        """Write the thing down; the line has left this process when the call returns."""
        self._write(asdict(thing))

    def close(self) -> None:
        """Forget the run: all its things are gone."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _write(self, record: dict[str, object]) -> None:
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()


def clean(directory: Path | None = None) -> list[Thing]:
    """Remove what the journals of dead runs list; return what was really there and is gone now.

    LabError names what could not be removed, after everything else is gone; the next call tries it again.
    """
    removed: list[Thing] = []
    stuck: list[str] = []
    for path in sorted((directory or runtime_directory()).glob("*.journal")):
        with contextlib.suppress(FileNotFoundError):  # another cleaner was faster
            stuck += _clean_after(path, removed)
    if stuck:
        raise LabError(f"cannot remove {'; '.join(stuck)}")
    return removed


def _clean_after(path: Path, removed: list[Thing]) -> list[str]:
    """Add what is gone to ``removed``; what is not, with the reason."""
    with _locked(path.parent, fcntl.LOCK_EX):
        alive, same_boot, things = _read(path)
    if alive:
        return []
    stuck = []
    # Only directories outlast a reboot, and pids mean something else after it.
    meant = [t for t in reversed(things) if (same_boot or t.kind == "directory") and _ours(t, path.stem, path.parent)]
    for thing in meant:
        try:
            removed += [thing] if remove(thing) else []
        except OSError as error:
            stuck.append(f"{thing}: {error.strerror}")
    if not stuck:
        path.unlink()
    return stuck


@contextlib.contextmanager
def _locked(directory: Path, kind: int) -> Iterator[None]:
    """Hold a lock on the directory itself: it leaves no file, and goes with whoever dies."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, kind)
        yield
    finally:
        os.close(handle)


def remove(thing: Thing) -> bool:
    """Remove one thing; False when it was gone already."""
    return _REMOVERS[thing.kind](thing)


def _read(path: Path) -> tuple[bool, bool, list[Thing]]:
    """Whether the owner lives, whether this is still its boot, and what it made."""
    owner, *records = [*_records(path)] or [{}]
    same_boot = owner.get("boot") == _boot()
    alive = same_boot and start_time(owner["pid"]) == owner["start"]
    return alive, same_boot, [Thing(record["kind"], record["name"], record["start"]) for record in records]


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines; a run that died while writing may have left a part of one."""
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict) and record.keys() in _SHAPES:
                yield record


def _ours(thing: Thing, run: str, directory: Path) -> bool:
    """Whether the thing bears this run's name, so that a damaged journal removes nothing foreign."""
    match thing.kind:
        case "namespace":
            return thing.name.startswith(f"{PREFIX}{run}-") and "/" not in thing.name
        case "directory" | "mount":
            return (directory / run) in (Path(thing.name), *Path(thing.name).parents) and ".." not in thing.name
        case "process":
            return thing.start != 0
        case _:
            return False


def _remove_namespace(thing: Thing) -> bool:
    with contextlib.suppress(FileNotFoundError):  # another cleaner was faster
        netns.remove(thing.name)
        return True
    return False


def _remove_directory(thing: Thing) -> bool:
    if not Path(thing.name).is_dir():
        return False
    with contextlib.suppress(OSError):  # a process that is about to end may still add to it: the second time counts
        shutil.rmtree(thing.name)
        return True
    shutil.rmtree(thing.name)
    return True


def _remove_process(thing: Thing) -> bool:
    pid = int(thing.name)
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            if start_time(pid) == thing.start:  # checked after the pidfd pins the process
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                gone = select.poll()  # what it holds (mounts, namespaces) is free only when it has ended
                gone.register(handle, select.POLLIN)
                gone.poll(KILL_WAIT * 1000)
                return True
        finally:
            os.close(handle)
    return False


_REMOVERS: dict[str, Callable[[Thing], bool]] = {
    "namespace": _remove_namespace,
    "directory": _remove_directory,
    "mount": lambda thing: detach(Path(thing.name)),
    "process": _remove_process,
}
