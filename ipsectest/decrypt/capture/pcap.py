"""The classic format (draft-ietf-opsawg-pcap): one interface, records of a time, two lengths and the octets."""

import struct
from collections.abc import Iterator

from ipsectest.decrypt.capture.walk import LONGEST_FRAME, CaptureFile, Record, TimeUnit
from ipsectest.decrypt.capture.window import Window
from ipsectest.decrypt.frames import Interface

FILE_HEADER = 24
RECORD_HEADER = 16
_KUZNETZOV_RECORD_HEADER = 24
"""Patched libpcaps of Linux 2.x: interface index, protocol and packet type follow the lengths."""

_MICROSECONDS, _NANOSECONDS = 1000, 1
_MAGICS = {
    0xA1B2C3D4: (_MICROSECONDS, RECORD_HEADER),
    0xA1B23C4D: (_NANOSECONDS, RECORD_HEADER),
    0xA1B2CD34: (_MICROSECONDS, _KUZNETZOV_RECORD_HEADER),
}
_LINK_TYPE = 0xFFFF
"""Above it are the length of the frame check sequence and reserved bits."""
_FIRST_IN_ORDER = (2, 4)
"""Before this version, and in 543.0 of DG/UX, some writers had the two lengths the other way round."""
_DGUX = (543, 0)


def is_pcap(start: bytes) -> bool:
    """Whether a file begins with one of the magic numbers."""
    return any(int.from_bytes(start[:4], order) in _MAGICS for order in ("little", "big"))


class PcapFile(CaptureFile):
    """A classic capture file; ``is_pcap`` says whether the window holds one."""

    is_pcapng = False

    def __init__(self, window: Window, name: str, notes: list[str]) -> None:
        super().__init__(window, name, notes)
        self.is_little_endian = int.from_bytes(window.buffer[window.at : window.at + 4], "little") in _MAGICS
        self._order = "<" if self.is_little_endian else ">"
        self.record_header = RECORD_HEADER
        self._may_be_swapped = False
        if not window.need(FILE_HEADER):
            self.damaged(window.left, "the file header is cut off")
            window.at = window.end
            return
        header = struct.unpack_from(f"{self._order}IHHiIII", window.buffer, window.at)
        magic, major, minor, _zone, _figures, snap_length, network = header
        nanoseconds, self.record_header = _MAGICS[magic]
        self._may_be_swapped = (major, minor) < _FIRST_IN_ORDER or (major, minor) == _DGUX
        self.interfaces.append(Interface(network & _LINK_TYPE, "", snap_length))
        self.units.append(TimeUnit(nanoseconds))
        window.at += FILE_HEADER

    def records(self) -> Iterator[Record]:
        """Every frame as a tuple, which costs less than ``frames``."""
        window, header_length = self.window, self.record_header
        if not self.interfaces:
            return
        unpack = struct.Struct(f"{self._order}IIII").unpack_from
        nanoseconds, may_be_swapped = self.units[0].multiplier, self._may_be_swapped
        while True:
            at = window.at
            if window.end - at < header_length:
                if not window.need(header_length):
                    break
                at = window.at
            seconds, fraction, captured, length = unpack(window.buffer, at)
            if may_be_swapped and captured > length:
                captured, length = length, captured
            data = at + header_length
            end = data + captured
            if end > window.end:
                if captured > LONGEST_FRAME or not window.need(header_length + captured):
                    self._broken_off(captured)
                    return
                at = window.at
                data, end = at + header_length, at + header_length + captured
            window.at = end
            self.count += 1
            if captured != length:
                self.truncated += captured < length
                length = max(captured, length)
            yield 0, seconds * 1_000_000_000 + fraction * nanoseconds, window.buffer[data:end], length, ""
        if window.left or window.error:
            self.damaged(window.offset, "the file breaks off within the header of a frame")

    def _broken_off(self, captured: int) -> None:
        if captured > LONGEST_FRAME:
            self.damaged(self.window.offset, f"a frame of {captured} octets cannot be: the file is damaged")
        else:
            self.damaged(self.window.offset, "the file breaks off within a frame")
