"""Namespaces of ours that no journal lists any more: their runtime directory was deleted, or a debugger ended the run.

A living run may keep its journals elsewhere (``IPSECTEST_RUNTIME``), so a missing journal proves nothing. What does is
the lock that the maker of a namespace holds on it (``namespaces.create``), and a process that runs inside.
"""

import contextlib
import fcntl
import os
from pathlib import Path

from ipsectest.lab.journal import PREFIX, Thing, remove, runtime_directory

_NAMES = Path("/run/netns")


def remove_orphans() -> list[Thing]:
    """Remove the namespaces of ours that nobody uses and no journal lists; return them.

    Nothing where they are not ours to remove: an ordinary user sees those of root. OSError for what will not go.
    """
    if not os.access(_NAMES, os.W_OK):
        return []
    candidates = [path for path in sorted(_NAMES.glob(f"{PREFIX}*-*")) if not _journalled(path.name)]
    return [Thing("namespace", path.name) for path in candidates if _remove_unused(path)]


def _journalled(name: str) -> bool:
    run = name.removeprefix(PREFIX).partition("-")[0]
    return (runtime_directory() / f"{run}.journal").exists()


def _remove_unused(path: Path) -> bool:
    try:
        held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # its maker was faster
        return False
    try:
        found = os.fstat(held)
        # What is no namespace yet is being made: the file comes before the mount.
        if found.st_dev != Path("/proc/self/ns/net").stat().st_dev or found.st_ino in _inhabited():
            return False
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return remove(Thing("namespace", path.name))
    except BlockingIOError:  # its maker lives
        return False
    finally:
        os.close(held)


def _inhabited() -> set[int]:
    """The network namespaces that processes run in."""
    found = set()
    for task in Path("/proc").glob("[0-9]*/task/*/ns/net"):
        with contextlib.suppress(OSError):  # ended meanwhile
            found.add(task.stat().st_ino)
    return found
