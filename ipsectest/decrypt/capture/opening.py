"""From a path to a capture that can be read, whatever its format and compression."""

import io
import os
import stat
from pathlib import Path

from ipsectest.base.errors import InputError, Place
from ipsectest.decrypt.capture.compression import Decompressed, compression_of
from ipsectest.decrypt.capture.pcap import PcapFile, is_pcap
from ipsectest.decrypt.capture.pcapng import PcapngFile, is_pcapng
from ipsectest.decrypt.capture.walk import CaptureFile
from ipsectest.decrypt.capture.window import Source, Window

STANDARD_INPUT = "-"
_LONGEST_MAGIC = 6


def open_capture(path: Path | str) -> CaptureFile:
    """Open a capture file, ``-`` for standard input. InputError for what cannot be read or is none."""
    name = "standard input" if str(path) == STANDARD_INPUT else str(path)
    try:
        file = io.FileIO(0, closefd=False) if str(path) == STANDARD_INPUT else io.FileIO(path)
        try:
            status = os.fstat(file.fileno())
            capture = _begin(file, name, status.st_size if stat.S_ISREG(status.st_mode) else None)
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", Place(name)) from error
    except ValueError as error:  # a NUL in the path
        raise InputError(str(error), Place(name)) from error
    return capture


def _begin(file: io.FileIO, name: str, size: int | None) -> CaptureFile:
    return open_source(file, name, file, size)


def open_source(source: Source, name: str, file: io.FileIO, size: int | None) -> CaptureFile:
    """The capture in the octets of ``source``, which come from ``file``; ``size`` of them, None: unknown."""
    notes: list[str] = []
    raw = window = Window(source)
    start = _start(raw)
    compression = compression_of(start)
    if compression is not None:
        window = Window(Decompressed(raw, compression, lambda text: notes.append(f"{name}: {text}")))
        start = _start(window)
    made: CaptureFile
    if is_pcapng(start):
        made = PcapngFile(window, name, notes)
    elif is_pcap(start):
        made = PcapFile(window, name, notes)
    elif raw.error:
        raise InputError(f"cannot be read: {raw.error}", Place(name))
    elif notes:
        raise InputError("has nothing that could be read", hint=notes[0])
    else:
        what = "is empty" if not start else "is no capture: it begins neither as pcap nor as pcapng"
        raise InputError(what + (f" (it is {compression.name} data)" if compression else ""), Place(name))
    made.opened(file, raw, size)
    return made


def _start(window: Window) -> bytes:
    window.need(_LONGEST_MAGIC)
    return bytes(window.buffer[window.at : min(window.end, window.at + _LONGEST_MAGIC)])
