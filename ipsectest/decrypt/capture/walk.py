"""What the walks over pcap and pcapng have in common: interfaces, time units, notes, frames."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from ipsectest.decrypt.capture.window import Window
from ipsectest.decrypt.frames import Frame, Interface

LONGEST_FRAME = 1 << 24
"""Octets; tcpdump captures at most 2^18, Wireshark takes 2^27 of a few link types that carry no IP."""
MOST_INTERFACES = 4096
MOST_NOTES = 100

Record = tuple[int, int, memoryview, int, str]
"""Interface, nanoseconds since 1970, captured octets, octets on the wire, comment."""


@dataclass(frozen=True, slots=True)
class TimeUnit:
    """What the time stamps of an interface count: ``units * multiplier // divisor + offset`` nanoseconds."""

    multiplier: int
    divisor: int = 1
    offset: int = 0


class CaptureFile:
    """A ``frames.Capture``: the walk of one format over a window of a file.

    Between two frames whoever reads may take records out of ``window`` by itself, as the fast path does: it moves
    ``window.at`` behind them and adds their number to ``count``. The next frame is then what follows them.
    """

    is_pcapng: ClassVar[bool]

    def __init__(self, window: Window, name: str, notes: list[str]) -> None:
        self.window = window
        self.name = name
        self.interfaces: list[Interface] = []
        self.units: list[TimeUnit] = []
        """One for each of ``interfaces``."""
        self.section = 0
        """Index of the first interface of the section that is read: pcapng counts them anew in each."""
        self.is_little_endian = True
        """Of the section that is read."""
        self.notes = notes
        self.count = 0
        """Frames so far."""
        self.truncated = 0
        """Frames of which not everything was captured, those aside that others took out of the window."""
        self.is_damaged = False
        """Whether there were frames in the file that could not be read."""
        self._file: io.FileIO | None = None
        self._behind: Window | None = None
        self._size: int | None = None

    def opened(self, file: io.FileIO, behind: Window, size: int | None) -> None:
        """Take over the file: ``behind`` is the window of what is on the disk, ``window`` itself if not compressed."""
        self._file, self._behind, self._size = file, behind, size

    def records(self) -> Iterator[Record]:
        """Every frame as a tuple, which costs less than ``frames``."""
        raise NotImplementedError

    def frames(self) -> Iterator[Frame]:
        """Every frame once, in the order of the file; what is damaged ends it with a note."""
        for interface, nanoseconds, data, length, comment in self.records():
            yield Frame(self.count, nanoseconds, interface, data, length, comment)

    def position(self) -> tuple[int, int | None]:
        """Octets of the file read and its size (None for a pipe)."""
        return (self._behind or self.window).offset, self._size

    def before_waiting(self, call: Callable[[], None]) -> None:
        """Have something called before the reader of a pipe may have to wait for what comes next; not of a file."""
        if self._size is None and self._behind:
            self._behind.before_reading = call

    @property
    def is_compressed(self) -> bool:
        """Whether what is read is not what stands in the file."""
        return self._behind is not self.window

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def note(self, text: str) -> None:
        """Remember what was wrong, up to a bound."""
        if len(self.notes) < MOST_NOTES:
            self.notes.append(text)

    def damaged(self, offset: int, why: str) -> None:
        """Note where and why the walk ends."""
        self.is_damaged = True
        why = self.window.error or why
        self.note(f"{self.name}: {why} at octet {offset}, after {self.count} frames; what follows was not read")
