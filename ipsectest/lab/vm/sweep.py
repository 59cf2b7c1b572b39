"""Deleting what a process that was killed has left half-written in the cache of images and snapshots."""

import fcntl
from pathlib import Path

from ipsectest.lab.vm.snapshot import SAVING

_BUILDING = ".building-"
"""As image.py begins the names of its unfinished files."""


def sweep(cache_directory: Path) -> list[Path]:
    """Delete unfinished files that nobody is writing; return them."""
    gone = []
    for path in sorted(cache_directory.glob(f"{_BUILDING}*")):
        gone += _delete(path, cache_directory / ".lock")
    for path in sorted(cache_directory.glob(f"{SAVING}*")):
        gone += _delete(path, cache_directory / f"{path.name.removeprefix(SAVING)}.lock")
    return gone


def _delete(path: Path, guard: Path) -> list[Path]:
    """Delete a file if nobody holds the lock under which it is written."""
    with guard.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return []
        path.unlink(missing_ok=True)
    return [path]
