"""The fast path beside the slow one: ``native`` takes plain frames out of a capture's window, as many as come."""

import ctypes
from typing import Any

from ipsectest.decrypt.capture import CaptureFile, Window
from ipsectest.decrypt.capture.pcap import RECORD_HEADER, PcapFile
from ipsectest.decrypt.capture.walk import MOST_INTERFACES
from ipsectest.decrypt.native.library import (
    END_OF_INPUT,
    NO_FRAME,
    OUTPUT_FULL,
    RESERVE,
    SLOW_FRAME,
    Interface,
    load,
)
from ipsectest.decrypt.native.library import Window as NativeWindow
from ipsectest.decrypt.native.sas import NativeTable
from ipsectest.decrypt.output import Output, comment_parts
from ipsectest.decrypt.sas import CapturedSa

_ROOM = (1 << 20) + RESERVE
"""Octets of decrypted blocks that are written at once."""
_LONGEST_RECORD = 1 << 20
"""What is longer is left to the slow path, which knows the limits of the format."""
_MOST_NANOSECONDS = 1_000_000_000


class FastPath:
    """For one capture and one output. ``run`` before each frame of the slow path, ``follow`` after it."""

    def __init__(self, library: Any, capture: CaptureFile, output: Output) -> None:
        self._library = library
        self._capture = capture
        self._output = output
        self._table = NativeTable(library)
        self._room = (ctypes.c_char * _ROOM)()
        self._view = memoryview(self._room).cast("B")
        self._native = NativeWindow(output=ctypes.addressof(self._room), capacity=_ROOM, is_pcapng=capture.is_pcapng)
        self._interfaces = (Interface * MOST_INTERFACES)()
        self._native.interfaces = ctypes.cast(self._interfaces, ctypes.POINTER(Interface))
        self._known = (-1, -1)
        """Section and number of interfaces that were declared to the library."""
        self.packets = 0
        """Opened so far."""

    def run(self) -> None:
        """Open the frames that follow, up to one that is not plain or to the end of the file."""
        window = self._capture.window
        while self._capture.is_little_endian and self._capture.interfaces:
            self._declare_interfaces()
            outcome = self._once()
            if outcome in {SLOW_FRAME, NO_FRAME}:
                break
            if outcome == END_OF_INPUT and (window.left > _LONGEST_RECORD or not window.need(window.left + 1)):
                break
            if outcome not in {END_OF_INPUT, OUTPUT_FULL}:
                raise AssertionError(f"esp_run gave {outcome}")
        self._table.collect()

    def follow(self, sa: CapturedSa, source: str, destination: str) -> None:
        """Take what follows on an SA that has just opened a packet between these outer addresses."""
        comment = comment_parts(sa) if self._output.comments else ("", "")
        self._table.follow(sa, source, destination, comment)

    def keep_in_step(self, sa: CapturedSa) -> None:
        """The slow path has taken a number of an SA that may be followed."""
        self._table.keep_in_step(sa)

    def close(self) -> None:
        """Free the contexts with the keys."""
        self._table.close()

    def _once(self) -> int:
        window, native = self._capture.window, self._native
        if not window.left:
            return END_OF_INPUT
        buffer = self._octets(window)
        native.input = ctypes.addressof(buffer)
        native.position, native.end, native.written, native.frames = window.at, window.end, 0, 0
        outcome = int(self._library.esp_run(ctypes.byref(native), ctypes.byref(self._table.table)))
        window.at = native.position
        self._capture.count += native.frames
        self.packets += native.frames
        if native.written:
            self._output.blocks(self._view[: native.written], native.frames)
        return outcome

    @staticmethod
    def _octets(window: Window) -> "ctypes.Array[ctypes.c_char]":
        """What is in memory of the file; keeps the buffer where it is meanwhile."""
        return (ctypes.c_char * window.end).from_buffer(window.buffer)

    def _declare_interfaces(self) -> None:
        """Those that are new: a file may declare one before each packet."""
        capture, (section, known) = self._capture, self._known
        count = len(capture.interfaces)
        if (capture.section, count) == (section, known):
            return
        self._known = capture.section, count
        for number in range(known if capture.section == section else capture.section, count):
            unit = capture.units[number]
            one = self._interfaces[number - capture.section]
            one.link_type = capture.interfaces[number].link_type
            one.usable = unit.divisor == 1 and not unit.offset and unit.multiplier <= _MOST_NANOSECONDS
            one.nanoseconds = unit.multiplier
            one.out_interface = self._output.inner_interface(number, capture.interfaces[number])
        self._native.interface_count = count - capture.section


def fast_path(capture: CaptureFile, output: Output) -> FastPath | None:
    """The fast path for a capture, None where the library was not built and for records that it does not know."""
    if isinstance(capture, PcapFile) and capture.record_header != RECORD_HEADER:
        return None
    library = load()
    return FastPath(library, capture, output) if library is not None else None
