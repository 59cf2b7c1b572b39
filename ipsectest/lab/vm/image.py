"""The guest's kernel and its first root file system, packed from Debian trees that are never installed anywhere.

A base archive (kernel modules, tools, our init) and one archive for each peer tree, which the guest holds in
``/peers/<name>`` to chroot into. Archives stand in a cache directory under names that hold a digest of all they were
made from; they appear there whole or not at all.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import BinaryIO

from ipsectest.lab.vm import contents, kernel
from ipsectest.lab.vm.cpio import CpioWriter
from ipsectest.lab.vm.selection import Selection

_HERE = Path(__file__).parent
_BUILDING = ".building-"
_BASE_PLACES = ("bin", "sbin", "usr", "usr/bin", "usr/sbin", "etc", "proc", "sys", "dev", "run", "tmp", "peers", "lab")
_PYTHON = "python"
COPY_LENGTH = 1 << 20
"""Octets copied at a time."""
_LEFT_OUT_OF_PYTHON = ("__pycache__", "test", "tests", "idlelib", "lib2to3", "tkinter", "ensurepip")


@dataclass(frozen=True, slots=True)
class Image:
    """What a guest boots."""

    kernel: Path
    release: str
    """Of the kernel, such as ``6.1.0-50-amd64``."""
    parts: tuple[Path, ...]
    """Archives, unpacked one over the other."""

    @property
    def key(self) -> str:
        """Names this very content."""
        return hashlib.sha256("\n".join([self.kernel.name, *(p.name for p in self.parts)]).encode()).hexdigest()[:16]

    @property
    def size(self) -> int:
        """Octets of all archives."""
        return sum(part.stat().st_size for part in self.parts)

    def write_initrd(self, path: Path) -> None:
        """Join the archives to the one file that QEMU loads."""
        with path.open("wb") as joined:
            for part in self.parts:
                with part.open("rb") as archive:  # the cache may be another file system
                    shutil.copyfileobj(archive, joined, COPY_LENGTH)


def build(cache_directory: Path, tree: Path, peers: dict[str, Path], *, python: Path | None = None) -> Image:
    """The image with the kernel of ``tree`` and these peer trees; only what the cache lacks is made.

    ``python`` is a tree with python3, put into the guest as ``/peers/python`` for tests that run there.
    """
    cache_directory.mkdir(parents=True, exist_ok=True)
    with (cache_directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in cache_directory.glob(f"{_BUILDING}*"):  # by a build that was killed
            left.unlink()
        return _build(cache_directory, tree, peers, python)


def _build(cache_directory: Path, tree: Path, peers: dict[str, Path], python: Path | None) -> Image:
    release = kernel.release(tree)
    base_key = _digest(release, (tree / "packages").read_bytes())

    def write_kernel(file: BinaryIO) -> None:
        file.write(kernel.uncompressed((tree / "boot" / f"vmlinuz-{release}").read_bytes()))

    parts = [_made(cache_directory, "base", base_key, partial(_write_base, tree))]
    for name, root in sorted(peers.items()):
        key = _digest(name, (root / "var/lib/dpkg/status").read_bytes())
        parts.append(_made(cache_directory, name, key, partial(_write_peer, name, root)))
    if python:
        key = _digest(_PYTHON, (python / "packages").read_bytes())
        parts.append(_made(cache_directory, _PYTHON, key, partial(_write_python, python)))
    return Image(_made(cache_directory, "vmlinux", base_key, write_kernel), release, tuple(parts))


def _write_base(tree: Path, file: BinaryIO) -> None:
    archive = CpioWriter(file)
    for place in _BASE_PLACES:
        archive.directory(place)
    archive.character_device("dev/console", 5, 1)
    selection = Selection(tree)
    selection.add(*contents.PROGRAMS)
    selection.write(archive)
    archive.symlink("bin/sh", "dash")
    archive.symlink("sbin/modprobe", "/bin/busybox")  # the path the kernel itself calls
    for applet in contents.APPLETS:
        archive.symlink(f"bin/{applet}", "busybox")
    archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    archive.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    archive.file("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files\n")
    archive.file("etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n")
    archive.file("init", (_HERE / "init.sh").read_bytes(), 0o755)
    archive.file("sbin/launch", (_HERE / "launch.sh").read_bytes(), 0o755)
    modules = kernel.Modules(tree)
    modules.add(*contents.MODULES)
    modules.add_directories(*contents.MODULE_DIRECTORIES)
    modules.write(archive)
    archive.close()


def _write_peer(name: str, root: Path, file: BinaryIO) -> None:
    selection = Selection(root)
    selection.add_packages(contents.PEER_SOURCES, without=contents.LEFT_OUT)
    selection.add(*contents.PEER_PROGRAMS, *contents.PEER_EXTRAS, *(f"/{place}" for place in contents.PEER_PLACES))
    archive = CpioWriter(file)
    selection.write(archive, f"peers/{name}")
    archive.close()


def _write_python(root: Path, file: BinaryIO) -> None:
    selection = Selection(root)
    selection.add("/usr/bin/python3", *contents.PEER_EXTRAS, *(f"/{place}" for place in contents.PEER_PLACES))
    for place in contents.PYTHON_PACKAGES:
        selection.add_tree(place, without=_LEFT_OUT_OF_PYTHON)
    archive = CpioWriter(file)
    selection.write(archive, f"peers/{_PYTHON}")
    archive.close()


def _made(directory: Path, label: str, key: str, write: Callable[[BinaryIO], None]) -> Path:
    """The file of that label and key, written first if it is missing; older ones of the label are deleted."""
    path = directory / f"{label}-{key}"
    if not path.exists():
        with _appearing(path) as file:
            write(file)
        for old in directory.glob(f"{label}-{'?' * len(key)}"):
            if old != path:
                old.unlink(missing_ok=True)
    return path


@contextmanager
def _appearing(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name only when it is complete and on disk."""
    handle, temporary = tempfile.mkstemp(prefix=_BUILDING, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    finally:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()


def _digest(label: str, facts: bytes) -> str:
    return hashlib.sha256(b"\n".join([label.encode(), facts, _recipe()])).hexdigest()[:16]


@cache
def _recipe() -> bytes:
    """Digest of the files that decide what goes into an archive, this one among them."""
    names = ("contents.py", "cpio.py", "image.py", "init.sh", "kernel.py", "launch.sh", "selection.py", "elf.py")
    return hashlib.sha256(b"".join((_HERE / name).read_bytes() for name in names)).digest()
