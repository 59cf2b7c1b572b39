"""Mounts by the system calls themselves: Python 3.11 has no wrapper for them.

Standard library only, because ``launch`` runs this file in a bare interpreter.
"""

import ctypes
import errno
import os
import stat
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)

# linux/mount.h and sched.h
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

_DEVICES = ("null", "zero", "full", "random", "urandom", "net/tun")
_LOCKED = 0x2 | 0x4 | 0x8 | 0x400 | 0x800 | 0x1000  # nosuid nodev noexec noatime nodiratime relatime, as statvfs says


def unshare(flags: int) -> None:
    """Leave the namespaces named by CLONE_NEW* flags (unshare(2)); raises OSError."""
    _check(_LIBC.unshare(flags), "unshare")


def enter(path: Path | str, kind: int) -> None:
    """Join the namespace behind a file, of the CLONE_NEW* kind (setns(2)); raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_LIBC.setns(handle, kind), f"setns {path}")
    finally:
        os.close(handle)


def mount(source: Path | str, target: Path | str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount a file system or change a mount (mount(2)); raises OSError."""
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode() or None, flags, options.encode() or None)
    _check(_LIBC.mount(*arguments), f"mount {target}")


def detach(target: Path) -> bool:
    """Unmount lazily (umount2(2)); False when nothing is mounted there."""
    return not _LIBC.umount2(os.fsencode(target), MNT_DETACH)


def bind(source: Path | str, target: Path | str, *, read_only: bool = False) -> None:
    """Show source at target too; a read-only bind keeps the flags a user namespace may not clear."""
    mount(source, target, flags=MS_BIND | MS_REC)
    if read_only:
        locked = os.statvfs(target).f_flag & _LOCKED
        mount("none", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | locked & ~0x1000 | (locked & 0x1000) << 9)


def private_mounts() -> None:
    """Leave the mount namespace; what is mounted from now on ends with the process.

    Raises OSError; in a plain chroot the kernel has no mount to make private, and says so as EINVAL.
    """
    unshare(CLONE_NEWNS)
    try:
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        hint = "/ is no mount point (a plain chroot?): mount --bind DIR DIR before chroot DIR"
        raise OSError(error.errno, hint) from error


def furnish(root: Path, binds: dict[str, str]) -> None:
    """Make a pristine tree fit to run a daemon in: read-only, private ``/dev``, ``/run`` and ``/tmp``, ``/proc``.

    ``binds`` maps directories here to places inside, below ``/run`` or existing. Call in a private mount namespace.
    """
    bind(root, root, read_only=True)
    bind("/proc", root / "proc")
    for place in ("dev", "run", "tmp"):
        mount("tmpfs", root / place, "tmpfs", MS_NOSUID, "mode=0755" if place != "tmp" else "mode=1777")
    for name in _DEVICES:
        source, target = Path("/dev", name), root / "dev" / name
        if source.exists() and stat.S_ISCHR(source.stat().st_mode):
            target.parent.mkdir(exist_ok=True)
            target.touch()
            bind(source, target)  # mknod is not allowed in a user namespace, a bind is
    for source_name, inside in binds.items():
        target = root / inside.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        bind(source_name, target)


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
