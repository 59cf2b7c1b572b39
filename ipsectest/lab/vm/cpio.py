"""Writing cpio archives of the ``newc`` kind, which the kernel unpacks into its first root file system.

Source: Documentation/driver-api/early-userspace/buffer-format.rst of Linux. Owners are root and times are zero, so
equal contents give equal archives; archives may be concatenated.
"""

import stat
from typing import BinaryIO

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"
_ALIGNMENT = 4
_END_ALIGNMENT = 512


class CpioWriter:
    """Appends entries to a binary file; ``close`` writes the trailer (the file stays open).

    Paths are relative to the root, without a leading slash; a directory comes before what is in it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._written = 0
        self._inode = 0

    def directory(self, path: str, mode: int = 0o755) -> None:
        """An empty directory."""
        self._entry(path, stat.S_IFDIR | mode, links=2)

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """A regular file."""
        self._entry(path, stat.S_IFREG | mode, data)

    def symlink(self, path: str, target: str) -> None:
        """A symbolic link."""
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path: str, major: int, minor: int, mode: int = 0o600) -> None:
        """A device node; no privilege is needed to write one into an archive."""
        self._entry(path, stat.S_IFCHR | mode, device=(major, minor))

    def close(self) -> None:
        """End the archive, padded so that another may follow."""
        self._inode = -1
        self._entry(_TRAILER, 0)
        self._put(bytes(-self._written % _END_ALIGNMENT))

    def _entry(
        self, path: str, mode: int, data: bytes = b"", *, links: int = 1, device: tuple[int, int] = (0, 0)
    ) -> None:
        self._inode += 1
        name = path.encode() + b"\0"
        # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        numbers = (self._inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(name), 0)
        self._put(_MAGIC + b"".join(b"%08X" % number for number in numbers) + name)
        self._put(bytes(-self._written % _ALIGNMENT))
        self._put(data)
        self._put(bytes(-self._written % _ALIGNMENT))

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._written += len(data)
