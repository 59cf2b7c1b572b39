"""The part of a file that is in memory: a buffer that moves on, so that memory does not grow with the file."""

from collections.abc import Callable
from typing import Protocol

CHUNK = 1 << 18
"""Octets that are read at once. As fast as a mapping of the file, which would die of SIGBUS if the file shrank."""


class Source(Protocol):
    """Where octets come from: a raw file, or a decompressor over one."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Read at least one octet into the buffer and tell how many; 0 or None at the end."""
        ...


class Window:
    """Octets of a source from ``at`` on. Views of ``buffer`` stay good: a new buffer is made for what follows."""

    def __init__(self, source: Source) -> None:
        self.buffer = memoryview(bytearray())
        self.at = 0
        """Where in ``buffer`` the next octet to look at is; whoever takes octets moves it."""
        self.end = 0
        """Octets of ``buffer`` that are filled."""
        self.error = ""
        """Why the source could not be read to its end."""
        self.before_reading: Callable[[], None] = lambda: None
        """Called where what is in memory is used up: reading may wait."""
        self._source = source
        self._start = 0

    @property
    def offset(self) -> int:
        """Of ``at``, in the file."""
        return self._start + self.at

    @property
    def left(self) -> int:
        """Octets in memory from ``at`` on."""
        return self.end - self.at

    def need(self, count: int) -> bool:
        """Whether ``count`` octets follow; reads them if need be, which may replace ``buffer``.

        The caller bounds ``count``: memory for it is taken only as far as the source has octets.
        """
        while self.end - self.at < count:
            if not self._read():
                return False
        return True

    def skip(self, count: int) -> bool:
        """Go over ``count`` octets, however many, without keeping them; False if there are fewer."""
        while count > self.left:
            count -= self.left
            self.at = self.end
            if not self._read():
                return False
        self.at += count
        return True

    def take(self) -> memoryview:
        """All that is in memory, or what a read gives; empty at the end."""
        if not self.left and not self._read():
            return self.buffer[:0]
        taken = self.buffer[self.at : self.end]
        self.at = self.end
        return taken

    def _read(self) -> bool:
        if self.end == len(self.buffer):
            # Doubled, not sized by ``count``: a hostile length costs no memory before its octets are there.
            kept = self.buffer[self.at : self.end]
            fresh = bytearray(2 * len(kept) + CHUNK)
            fresh[: len(kept)] = kept
            self._start += self.at
            self.at, self.end, self.buffer = 0, len(kept), memoryview(fresh)
        self.before_reading()
        try:
            read = self._source.readinto(self.buffer[self.end :]) or 0
        except OSError as error:
            self.error = error.strerror or str(error)
            return False
        self.end += read
        return read > 0
