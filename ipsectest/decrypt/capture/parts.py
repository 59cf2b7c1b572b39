"""A large capture file cut into parts that can be read by themselves, each beginning with a whole frame.

Where a frame begins in the middle of a file can only be guessed: by a chain of plausible records. The guess is proved
by whoever reads the part before it, which must end exactly there.
"""

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ipsectest.decrypt.capture.opening import open_capture, open_source
from ipsectest.decrypt.capture.pcap import FILE_HEADER, PcapFile
from ipsectest.decrypt.capture.walk import LONGEST_FRAME, CaptureFile

SMALLEST = 1 << 20
"""Octets of a part at least."""
_CHAIN = 16
"""Records that must follow each other."""
_SEARCHES = 1 << 17, 1 << 22
"""Octets in which a frame is looked for: more where frames are long."""
_FOLLOWING = 1 << 22
"""Octets behind a part in which fragments may lie that belong to it."""
_ENHANCED_PACKET = 6
_EMPTY_BLOCK = 12
_LONGEST_HEAD = 24
"""Octets that a record or block is told by."""
_YEARS = 10 * 365 * 86400
"""Seconds that a time stamp may lie away from the first one."""


@dataclass(frozen=True, slots=True)
class Part:
    """Octets ``start`` to ``end`` of a file, read behind its first ``head`` octets, which declare the interfaces."""

    path: Path
    head: int
    start: int
    end: int


def cut(path: Path, octets: int) -> Iterator[Part]:
    """Parts of about so many octets; none if the file is small, compressed or of a kind that is not cut."""
    octets = max(octets, SMALLEST)
    whole = open_capture(path)
    try:
        size = whole.position()[1]
        if size is None or size < 2 * octets or whole.is_compressed:
            return
        first = next(whole.frames(), None)
        if first is None or not whole.is_little_endian:  # the first section of pcapng has been met by now
            return
        head, seconds = _head(whole), first.nanoseconds // 1_000_000_000
        header = whole.record_header if isinstance(whole, PcapFile) else 0
    finally:
        whole.close()
    start = head
    with path.open("rb") as file:
        while start < size:
            near = start + octets
            end = _find(file, near, header, seconds) if near + octets // 2 < size else None
            yield Part(path, head, start, end or size)
            start = end or size


def behind(part: Part) -> Part | None:
    """The beginning of what follows a part; None: nothing does."""
    end = min(part.end + _FOLLOWING, part.path.stat().st_size)
    return Part(part.path, part.head, part.end, end) if end > part.end else None


def open_part(part: Part) -> CaptureFile:
    """A capture of a part alone. The frames' numbers begin with 1."""
    file = io.FileIO(part.path)
    try:
        return open_source(_Part(file, part), str(part.path), file, part.end - part.start)
    except BaseException:
        file.close()
        raise


def ended_at_its_end(capture: CaptureFile) -> bool:
    """Whether a part that was read ended with a whole frame, as the part behind it takes for granted."""
    return not capture.window.left and not capture.is_damaged


class _Part:
    """A ``window.Source``: the head of the file, then the part."""

    def __init__(self, file: io.FileIO, part: Part) -> None:
        self._file = file
        self._ranges = [(0, min(part.head, part.start)), (part.start, part.end)]

    def readinto(self, buffer: memoryview, /) -> int:
        """Read what is left of the range that is due."""
        while self._ranges and self._ranges[0][0] >= self._ranges[0][1]:
            self._ranges.pop(0)
        if not self._ranges:
            return 0
        at, end = self._ranges[0]
        read = os.preadv(self._file.fileno(), [buffer[: end - at]], at)
        self._ranges[0] = (at + read, end) if read else (end, end)
        return read


def _head(capture: CaptureFile) -> int:
    """Octets in front of the first frame, which has just been read."""
    if isinstance(capture, PcapFile):
        return FILE_HEADER
    window = capture.window
    block = int.from_bytes(window.buffer[window.at - 4 : window.at], "little")  # a block ends with its length
    return window.offset - block


def _find(file: io.BufferedReader, near: int, record_header: int, seconds: int) -> int | None:
    """The offset of a frame behind ``near``; ``record_header`` of classic files, 0: pcapng."""
    near -= near % 4 if not record_header else 0
    step = 1 if record_header else 4
    for search in _SEARCHES:
        file.seek(near)
        data = file.read(search)
        is_end = len(data) < search
        last = max(0, len(data) - _LONGEST_HEAD)
        for at in range(0, last, step):
            if _is_chain(data, at, record_header, seconds, is_end=is_end):
                # Of microseconds the highest octet is 0: a header one octet early looks plausible, 256 times as long.
                others = range(at + 1, min(at + _LONGEST_HEAD, last)) if record_header else ()
                chains = [one for one in others if _is_chain(data, one, record_header, seconds, is_end=is_end)]
                return near + min((at, *chains), key=lambda one: int.from_bytes(data[one + 8 : one + 12], "little"))
    return None


def _is_chain(data: bytes, at: int, record_header: int, seconds: int, *, is_end: bool) -> bool:
    """Whether so many records follow each other, or as many as there are up to the very end of the file."""
    for _ in range(_CHAIN):
        if at == len(data) and is_end:
            return True
        if at + _LONGEST_HEAD > len(data):
            return False
        length = _record(data, at, record_header, seconds) if record_header else _block(data, at)
        if not length:
            return False
        at += length
    return True


def _record(data: bytes, at: int, header: int, seconds: int) -> int:
    """Octets of a plausible record of a classic file; 0 if it is none."""
    when, fraction, captured, length = struct.unpack_from("<IIII", data, at)
    plausible = abs(when - seconds) < _YEARS and fraction < 1_000_000_000 and 0 < captured <= length <= LONGEST_FRAME
    return header + captured if plausible else 0


def _block(data: bytes, at: int) -> int:
    """Octets of an enhanced packet block; 0 if it is none."""
    kind, length = struct.unpack_from("<II", data, at)
    if kind != _ENHANCED_PACKET or length % 4 or not _EMPTY_BLOCK + 20 <= length <= LONGEST_FRAME:
        return 0
    end = at + length
    if end <= len(data) and struct.unpack_from("<I", data, end - 4)[0] != length:
        return 0
    captured = struct.unpack_from("<I", data, at + 20)[0]
    return length if captured <= length - 32 else 0
