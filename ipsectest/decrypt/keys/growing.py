"""Key files that grow while a capture is taken: a daemon's log, the output of ``ip xfrm monitor``."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ipsectest.base.errors import InputError
from ipsectest.decrypt.keys.model import KeyRing

ALWAYS = 16
"""Times that one SA may be asked for before it is looked for less and less often."""
MOST_ASKED = 10_000
"""SAs that are counted one by one."""
_MOST_FILES = 1000
_Stamp = tuple[tuple[str, int, int, int], ...]
"""Name, inode, octets and time of change."""


@dataclass(slots=True)
class _File:
    path: Path
    stamp: _Stamp = ()
    ring: KeyRing = field(default_factory=KeyRing)


class GrowingKeys:
    """The keys of files by now. ``read`` reads one, ``merge`` puts together what several tell."""

    def __init__(
        self, paths: Sequence[Path], read: Callable[[Path], KeyRing], merge: Callable[[KeyRing], KeyRing]
    ) -> None:
        """InputError for a file that cannot be read or has no known notation; one without anything in it may."""
        self._files = [_File(path) for path in paths]
        self._read = read
        self._merge = merge
        self._asked: dict[Hashable, int] = {}
        for file in self._files:
            file.stamp = _stamp(file.path)
            if not _is_empty(file.path):
                file.ring = read(file.path)
        self.ring = self._merged()
        """All keys."""

    def seek(self, name: Hashable) -> KeyRing | None:
        """All keys, if files changed since they were read last; asked where those of an SA are missing.

        An SA whose keys are in no file costs a look at a growing log each time: it gets fewer with each in vain.
        """
        name = name if name in self._asked or len(self._asked) < MOST_ASKED else None
        asked = self._asked[name] = self._asked.get(name, 0) + 1
        if asked > ALWAYS and asked & (asked - 1):
            return None
        changed = [(file, stamp) for file in self._files if (stamp := _stamp(file.path)) != file.stamp]
        for file, stamp in changed:
            file.stamp = stamp
            try:
                file.ring = self._read(file.path)
            except (InputError, OSError):  # it may be in the middle of being written; what it told before stays known
                continue
        if not changed:
            return None
        self.ring = self._merged()
        return self.ring

    def _merged(self) -> KeyRing:
        ring = KeyRing()
        for file in self._files:
            ring.add(file.ring)
        return self._merge(ring)


def _stamp(path: Path) -> _Stamp:
    """Empty for what is not to be read again: pipes, and what is gone."""
    try:
        if path.is_fifo():
            return ()
        paths = sorted(path.iterdir())[:_MOST_FILES] if path.is_dir() else [path]
        states = [(one.name, one.stat()) for one in paths]
    except OSError:
        return ()
    return tuple((name, state.st_ino, state.st_size, state.st_mtime_ns) for name, state in states)


def _is_empty(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 0
