"""What an ELF file asks of the dynamic loader, and its named sections (64-bit, little-endian).

Source: the System V ABI's "Object Files" and "Program Loading and Dynamic Linking". Damaged files count as no ELF.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_IDENTITY = b"\x7fELF\x02\x01"  # 64-bit, little-endian
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 15, 29


@dataclass(frozen=True, slots=True)
class Demands:
    """What must be there for the file to be loaded."""

    interpreter: str
    """Path of the dynamic loader; empty for libraries and static programs."""
    needed: tuple[str, ...]
    """Names of libraries."""
    search: tuple[str, ...]
    """Directories that the file itself adds to the search; ``$ORIGIN`` is not replaced."""


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def demands(data: bytes) -> Demands | None:
    """The demands of an ELF file; None for other files."""
    if not data.startswith(_IDENTITY):
        return None
    try:
        return _demands(data)
    except (struct.error, IndexError, StopIteration, OverflowError):
        return None


def section(data: bytes, name: str) -> bytes:
    """The octets of a section; empty if there is none of that name."""
    if not data.startswith(_IDENTITY):
        return b""
    try:
        table, size, count, names = (
            struct.unpack_from("<Q", data, 40)[0],
            *struct.unpack_from("<HHH", data, 58),
        )
        headers = [struct.unpack_from("<IIQQQQ", data, table + number * size) for number in range(count)]
        strings = headers[names][4]
        for label, _kind, _flags, _address, offset, length in headers:
            if _text(data, strings + label) == name:
                return data[offset : offset + length]
    except (struct.error, IndexError, OverflowError):
        pass
    return b""


def _demands(data: bytes) -> Demands:
    segments = list(_segments(data))
    interpreter = next((_text(data, one.offset) for one in segments if one.kind == _PT_INTERP), "")
    dynamic = [entry for one in segments if one.kind == _PT_DYNAMIC for entry in _dynamic(data, one)]
    if not dynamic:
        return Demands(interpreter, (), ())
    strings = _offset(segments, next(value for tag, value in dynamic if tag == _DT_STRTAB))

    def texts(*tags: int) -> list[str]:
        return [_text(data, strings + value) for tag, value in dynamic if tag in tags]

    search = [part for path in texts(_DT_RPATH, _DT_RUNPATH) for part in path.split(":") if part]
    return Demands(interpreter, tuple(texts(_DT_NEEDED)), tuple(search))


def _segments(data: bytes) -> Iterator[_Segment]:
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for number in range(count):
        kind, _flags, offset, address, _physical, length = struct.unpack_from("<IIQQQQ", data, table + number * size)
        yield _Segment(kind, offset, address, length)


def _dynamic(data: bytes, segment: _Segment) -> Iterator[tuple[int, int]]:
    for at in range(segment.offset, segment.offset + segment.size, 16):
        tag, value = struct.unpack_from("<QQ", data, at)
        if tag == _DT_NULL:
            return
        yield tag, value


def _offset(segments: list[_Segment], address: int) -> int:
    """Where in the file an address lies."""
    loaded = next(s for s in segments if s.kind == _PT_LOAD and s.address <= address < s.address + s.size)
    return loaded.offset + address - loaded.address


def _text(data: bytes, offset: int) -> str:
    end = data.find(b"\0", offset) if offset < len(data) else -1
    if end < 0:
        raise IndexError(offset)
    return data[offset:end].decode(errors="replace")
