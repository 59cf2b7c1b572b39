"""Compressed files as octets again, a bounded piece at a time; damage ends them, what stands before it is kept."""

import bz2
import importlib
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ipsectest.base.errors import InputError
from ipsectest.decrypt.capture.window import Window

_LARGEST_PIECE = 1 << 18
_COMPRESSED_PIECE = 1 << 14
"""Octets given to a decompressor at once: what it had made of them is lost where it finds damage."""
_LONGEST_MAGIC = 6
_FINER = (1 << 12, 1 << 6, 1)
_EXTRA = "pip install 'ipsectest[compression]'"


class Decompressor(Protocol):
    """What the standard library's bz2 and lzma, and the packages for zstd and lz4, agree on."""

    @property
    def eof(self) -> bool:
        """Whether the end of a member was met."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes of what was given."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What was given and stands behind the end."""
        ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """At most ``max_length`` octets of what ``data``, and what was given before, hold."""
        ...


@dataclass(frozen=True, slots=True)
class Compression:
    """A way of compressing files."""

    name: str
    magics: tuple[bytes, ...]
    make: Callable[[], Decompressor]
    """InputError where the package for it is missing."""


class _Gzip:
    """``zlib`` as the others are; it finds damage only after the octets before it have been given."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._error: zlib.error | None = None
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        if self._error:
            raise self._error
        data = self._inflate.unconsumed_tail + data
        before = self._inflate.copy()
        try:
            made = self._inflate.decompress(data, max(max_length, 0))
        except zlib.error as error:
            self._error, self.needs_input = error, False
            made = self._before_damage(before, data)
            if not made:
                raise
            return made
        self.needs_input = len(made) < max_length and not self._inflate.unconsumed_tail
        return made

    def _before_damage(self, inflate: Any, data: bytes) -> bytes:
        """What comes before the error that lies in ``data``, found by ever smaller steps."""
        made = bytearray()
        for step in _FINER:
            while True:
                trial = inflate.copy()
                try:
                    piece = trial.decompress(data, step)
                except zlib.error:
                    break
                if not piece:
                    return bytes(made)
                made += piece
                inflate, data = trial, trial.unconsumed_tail
        return bytes(made)


def _zstd() -> Decompressor:
    for module in ("compression.zstd", "backports.zstd"):  # of Python 3.14, and the same for those before
        try:
            made: Decompressor = importlib.import_module(module).ZstdDecompressor()
        except ImportError:
            continue
        return made
    raise InputError("files compressed with zstd need the Python package backports.zstd", hint=_EXTRA)


def _lz4() -> Decompressor:
    try:
        made: Decompressor = importlib.import_module("lz4.frame").LZ4FrameDecompressor()
    except ImportError as error:
        raise InputError("files compressed with lz4 need the Python package lz4", hint=_EXTRA) from error
    return made


COMPRESSIONS = (
    Compression("gzip", (b"\x1f\x8b\x08",), _Gzip),
    Compression("zstd", (b"\x28\xb5\x2f\xfd", *(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60))), _zstd),
    Compression("lz4", (b"\x04\x22\x4d\x18",), _lz4),
    Compression("bzip2", (b"BZh",), bz2.BZ2Decompressor),
    Compression("xz", (b"\xfd7zXZ\0",), lambda: lzma.LZMADecompressor(memlimit=1 << 27)),
)


def compression_of(start: bytes) -> Compression | None:
    """How a file that begins so is compressed; None if it is not."""
    return next((one for one in COMPRESSIONS if start.startswith(one.magics)), None)


class Decompressed:
    """A ``window.Source`` over the compressed file in another window; members that follow each other are one."""

    def __init__(self, compressed: Window, compression: Compression, note: Callable[[str], None]) -> None:
        self._compressed = compressed
        self._compression = compression
        self._note = note
        self._decompressor = compression.make()
        self._rest = memoryview(b"")
        self._behind = b""
        self._ended = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of the buffer; 0 at the end, which damage is too."""
        limit = min(len(buffer), _LARGEST_PIECE)
        while not self._ended:
            made = self._step(limit)
            if made:
                buffer[: len(made)] = made
                return len(made)
        return 0

    def _step(self, limit: int) -> bytes:
        if self._decompressor.eof and not self._next_member():
            self._ended = True
            return b""
        data = b""
        if self._decompressor.needs_input:
            data = self._compressed_piece()
            if not data:
                self._end("breaks off")
                return b""
        try:
            return self._decompressor.decompress(data, limit)
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001  # each package has an exception of its own, or none
            self._end(f"is damaged ({error})")
            return b""

    def _compressed_piece(self) -> bytes:
        if self._behind:
            piece, self._behind = self._behind, b""
            return piece
        if not self._rest:
            self._rest = self._compressed.take()
        piece = bytes(self._rest[:_COMPRESSED_PIECE])
        self._rest = self._rest[len(piece) :]
        return piece

    def _next_member(self) -> bool:
        """Begin with what stands behind the end of a member; zeros are padding (as gzip(1) takes them)."""
        behind = self._decompressor.unused_data or b""  # lz4 has None there
        while len(behind := behind.lstrip(b"\0")) < _LONGEST_MAGIC:
            piece = self._compressed_piece()
            if not piece:
                break
            behind += piece
        if not behind:
            return False
        if not behind.startswith(self._compression.magics):
            self._note(f"octets behind the end of the {self._compression.name} data were passed over")
            return False
        self._decompressor, self._behind = self._compression.make(), behind
        return True

    def _end(self, what: str) -> None:
        self._ended = True
        place = self._compressed.offset - len(self._rest) - len(self._behind)
        what = f"cannot be read: {self._compressed.error}" if self._compressed.error else what
        self._note(f"the {self._compression.name} data: what is compressed {what} near octet {place}")
