"""Choosing files of a Debian root file system, with the libraries and links they need, and packing them.

Links are followed as after a chroot, so a tree of another suite works without entering it.
"""

import os
import stat
from collections import deque
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ipsectest.lab.vm.cpio import CpioWriter
from ipsectest.lab.vm.elf import Demands, demands

_LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu",
    "/lib/x86_64-linux-gnu",
    "/usr/lib",
    "/lib",
    "/lib64",
)
_MAX_LINKS = 40
_ROOT = PurePosixPath("/")


class Selection:
    """Files of the tree at ``root``; paths are as seen inside it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._chosen: set[PurePosixPath] = set()

    def add(self, *places: str) -> list[str]:
        """Choose files (or empty directories) and what they need; the places that do not exist are returned."""
        return [place for place in places if not self._add(PurePosixPath(place))]

    def add_packages(self, sources: Iterable[str], *, without: Iterable[str] = ()) -> None:
        """Choose every file of the installed packages that were built from these source packages.

        ``without`` are beginnings of paths to leave out.
        """
        unwanted = tuple(without)
        for package in packages_of(self._root, sources):
            for place in files_of(self._root, package):
                if not place.startswith(unwanted):
                    self.add(place)

    def add_tree(self, place: str, *, without: Iterable[str] = ()) -> None:
        """Choose a directory and everything below it, except names in ``without``."""
        top = self._resolve(PurePosixPath(place))
        if top is None:
            return
        unwanted = frozenset(without)
        base = self._host(top)
        for directory, names, files in os.walk(base):
            names[:] = [name for name in names if name not in unwanted]
            inside = top / Path(directory).relative_to(base).as_posix()
            self.add(*(str(inside / name) for name in [*names, *files] if name not in unwanted))

    def write(self, archive: CpioWriter, prefix: str = "") -> None:
        """Pack what was chosen below ``prefix``, parents first; unreadable files are left out."""
        places = {parent for place in self._chosen for parent in [place, *place.parents]} - {_ROOT}
        if prefix:
            for parent in reversed([PurePosixPath(prefix), *PurePosixPath(prefix).parents][:-1]):
                archive.directory(str(parent))
        for place in sorted(places):
            _pack(archive, self._host(place), f"{prefix}{place}".lstrip("/"))

    def _add(self, place: PurePosixPath) -> bool:
        real = self._resolve(place)
        if real is None:
            return False
        if real in self._chosen:
            return True
        self._chosen.add(real)
        path = self._host(real)
        if path.is_file():
            try:
                wanted = demands(path.read_bytes())
            except OSError:
                return False
            if wanted:
                self._add_libraries(wanted, real)
        return True

    def _add_libraries(self, wanted: Demands, of: PurePosixPath) -> None:
        if wanted.interpreter:
            self._add(PurePosixPath(wanted.interpreter))
        search = [path.replace("$ORIGIN", str(of.parent)) for path in wanted.search]
        for name in wanted.needed:
            # No such library is no error: a plugin may need what its package only recommends.
            any(self._add(PurePosixPath(directory, name)) for directory in [*search, *_LIBRARIES, str(of.parent)])

    def _resolve(self, place: PurePosixPath) -> PurePosixPath | None:
        """The place behind all links, which are chosen on the way; None where nothing is."""
        pending = deque(place.parts[1:])
        at, links, passed = _ROOT, 0, []
        while pending:
            part = pending.popleft()
            if part == "..":
                at = at.parent
                continue
            step = at / part
            try:
                mode = self._host(step).lstat().st_mode
            except OSError:
                return None
            if not stat.S_ISLNK(mode):
                at = step
                continue
            links += 1
            if links > _MAX_LINKS:
                return None
            passed.append(step)
            target = PurePosixPath(self._host(step).readlink())
            if target.is_absolute():
                at = _ROOT
            pending.extendleft(reversed([part for part in target.parts if part != "/"]))
        self._chosen.update(passed)
        return at

    def _host(self, place: PurePosixPath) -> Path:
        return self._root / place.relative_to("/")


def packages_of(root: Path, sources: Iterable[str]) -> list[str]:
    """Names of the installed binary packages that come from these source packages (dpkg's status file)."""
    wanted = frozenset(sources)
    found: list[str] = []
    status = (root / "var/lib/dpkg/status").read_text(encoding="utf-8", errors="replace")
    for stanza in status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        package = fields.get("Package", "")
        if fields.get("Source", package).split(" ")[0] in wanted:  # "Source: nss (2:3.87-1)" has a version
            found.append(package)
    return found


def files_of(root: Path, package: str) -> list[str]:
    """The paths that dpkg lists for a package, without its directories."""
    info = root / "var/lib/dpkg/info"
    for name in (f"{package}.list", f"{package}:amd64.list"):
        if (info / name).exists():
            places = (info / name).read_text(encoding="utf-8", errors="replace").splitlines()
            return [place for place in places if place != "/." and not (root / place.lstrip("/")).is_dir()]
    return []


def _pack(archive: CpioWriter, path: Path, name: str) -> None:
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        archive.symlink(name, str(path.readlink()))
    elif stat.S_ISDIR(status.st_mode):
        archive.directory(name, mode)
    elif stat.S_ISREG(status.st_mode):
        try:
            data = path.read_bytes()
        except PermissionError:  # files of a tree made without root may belong to subordinate users
            return
        archive.file(name, data, mode)
