"""The newer format (draft-ietf-opsawg-pcapng): blocks, several interfaces with time units of their own, comments."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ipsectest.decrypt.capture.walk import LONGEST_FRAME, MOST_INTERFACES, CaptureFile, Record, TimeUnit
from ipsectest.decrypt.capture.window import Window
from ipsectest.decrypt.frames import Interface

SECTION_HEADER = 0x0A0D0D0A
_INTERFACE, _PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 2, 3, 6
_READ = {SECTION_HEADER, _INTERFACE, _PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET}
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_FRAME = 12
"""Octets of a block around its body: type, length, and the length again."""
_EMPTY_PACKET = 32
"""Octets of an enhanced packet block around those captured."""
_LONGEST_BLOCK = LONGEST_FRAME + (1 << 20)

_END_OF_OPTIONS, _COMMENT = 0, 1
_IF_NAME, _IF_TSRESOL, _IF_TSOFFSET = 2, 9, 14
_BILLION = 1_000_000_000
_LONGEST_NAME = 256
"""Octets of the name of an interface that are kept; Linux takes 15."""
_MICROSECONDS = TimeUnit(1000)


def is_pcapng(start: bytes) -> bool:
    """Whether a file begins with a section header; its type reads the same in both byte orders."""
    return start[:4] == SECTION_HEADER.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class _Layouts:
    """Structures in the byte order of a section."""

    plain: struct.Struct
    """An enhanced packet block up to the octets captured."""
    head: struct.Struct
    interface: struct.Struct
    enhanced: struct.Struct
    packet: struct.Struct
    option: struct.Struct
    word: struct.Struct
    signed: struct.Struct

    @classmethod
    def of(cls, order: str) -> "_Layouts":
        return cls(
            *(struct.Struct(order + fields) for fields in ("7I", "II", "HHI", "IIIII", "HHIIII", "HH", "I", "q"))
        )


class PcapngFile(CaptureFile):
    """A pcapng file; ``is_pcapng`` says whether the window holds one."""

    is_pcapng = True

    def __init__(self, window: Window, name: str, notes: list[str]) -> None:
        super().__init__(window, name, notes)
        self._layouts = _Layouts.of("<")

    def records(self) -> Iterator[Record]:
        """Every frame as a tuple, which costs less than ``frames``."""
        while True:
            yield from self._plain_records()
            try:
                kind, length = self._next_block()
                record = self._read(kind, length) if kind else None
            except _DamageError as error:
                self.damaged(error.offset, error.why)
                return
            if not kind:
                return
            self.window.at += length
            if record is not None:
                self.count += 1
                yield record

    def _plain_records(self) -> Iterator[Record]:
        """What most blocks are, at less cost: whole packets without options whose block is in the window already."""
        window, section, unpack = self.window, self.section, self._layouts.plain.unpack_from
        word = self._layouts.word.unpack_from
        units, most = self.units, len(self.units) - section
        while window.end - window.at >= _EMPTY_PACKET:
            at, buffer = window.at, window.buffer
            kind, length, number, high, low, captured, wire = unpack(buffer, at)
            after = at + length
            plain = (
                kind == _ENHANCED_PACKET
                and captured == wire
                and length == _EMPTY_PACKET + (captured + 3 & ~3)
                and after <= window.end
                and number < most
                and word(buffer, after - 4)[0] == length
            )
            if not plain:
                return
            unit = units[section + number]
            window.at = after
            self.count += 1
            nanoseconds = (high << 32 | low) * unit.multiplier // unit.divisor + unit.offset
            yield section + number, nanoseconds, buffer[at + 28 : at + 28 + captured], wire, ""

    def _next_block(self) -> tuple[int, int]:
        """Type and length of the next block that is read here, which is whole in the window then; zeros at the end."""
        window = self.window
        while True:
            if window.end - window.at < _FRAME and not window.need(_FRAME):
                if window.left or window.error:
                    raise _DamageError(window.offset, "the file breaks off within the header of a block")
                return 0, 0
            kind, length = self._layouts.head.unpack_from(window.buffer, window.at)
            if kind == SECTION_HEADER:
                length = self._turn()
            offset = window.offset
            if length % 4 or length < _FRAME or (kind in _READ and length > _LONGEST_BLOCK):
                raise _DamageError(offset, f"a block of {length} octets cannot be: the file is damaged")
            if kind in _READ:
                self._complete(length)
                return kind, length
            if not window.skip(length):
                raise _DamageError(offset, "the file breaks off within a block")

    def _complete(self, length: int) -> None:
        window = self.window
        if window.end - window.at < length and not window.need(length):
            raise _DamageError(window.offset, "the file breaks off within a block")
        if self._layouts.word.unpack_from(window.buffer, window.at + length - 4)[0] != length:
            raise _DamageError(window.offset, "the two lengths of a block differ: the file is damaged")

    def _read(self, kind: int, length: int) -> Record | None:
        at, end = self.window.at + 8, self.window.at + length - 4
        if kind in {_ENHANCED_PACKET, _PACKET}:
            return self._packet(kind, at, end)
        if kind == _SIMPLE_PACKET:
            return self._simple(at, end)
        if kind == _INTERFACE:
            self._interface(at, end)
        else:
            self.section = len(self.interfaces)
        return None

    def _turn(self) -> int:
        """Take the byte order of the section header in front; the length of the block."""
        start = bytes(self.window.buffer[self.window.at : self.window.at + _FRAME])
        self.is_little_endian = int.from_bytes(start[8:], "little") == _BYTE_ORDER_MAGIC
        if not self.is_little_endian and int.from_bytes(start[8:], "big") != _BYTE_ORDER_MAGIC:
            raise _DamageError(self.window.offset, "a section header has no byte-order magic")
        self._layouts = _Layouts.of("<" if self.is_little_endian else ">")
        return int(self._layouts.word.unpack_from(start, 4)[0])

    def _interface(self, at: int, end: int) -> None:
        if end - at < 8:
            raise _DamageError(self.window.offset, "an interface description is too short")
        if len(self.interfaces) >= MOST_INTERFACES:  # the numbers of those before stay right
            self.note(f"{self.name}: the interface description at octet {self.window.offset} is one too many")
            return
        link_type, _, snap_length = self._layouts.interface.unpack_from(self.window.buffer, at)
        name, unit, offset = "", _MICROSECONDS, 0
        for code, value in self._options(at + 8, end):
            if code == _IF_NAME:
                name = _text(value[:_LONGEST_NAME])
            elif code == _IF_TSRESOL and value:
                unit = _unit(value[0])
            elif code == _IF_TSOFFSET and len(value) == 8:
                offset = self._layouts.signed.unpack(value)[0]
        self.interfaces.append(Interface(link_type, name, snap_length))
        self.units.append(TimeUnit(unit.multiplier, unit.divisor, offset * _BILLION))

    def _packet(self, kind: int, at: int, end: int) -> Record | None:
        if end - at < 20:
            raise _DamageError(self.window.offset, "a packet block is too short")
        buffer = self.window.buffer
        if kind == _ENHANCED_PACKET:
            number, high, low, captured, length = self._layouts.enhanced.unpack_from(buffer, at)
        else:
            number, _drops, high, low, captured, length = self._layouts.packet.unpack_from(buffer, at)
        at += 20
        if captured > end - at:
            raise _DamageError(self.window.offset, "a packet is longer than its block")
        number = self._known(number)
        if number is None:
            return None
        unit = self.units[number]
        nanoseconds = (high << 32 | low) * unit.multiplier // unit.divisor + unit.offset
        options = at + (captured + 3 & ~3)
        comment = self._comment(options, end) if options < end else ""
        if captured != length:
            self.truncated += captured < length
            length = max(captured, length)
        return number, nanoseconds, buffer[at : at + captured], length, comment

    def _simple(self, at: int, end: int) -> Record | None:
        """Without a time, on the first interface; its captured length follows from the snap length."""
        if end - at < 4:
            raise _DamageError(self.window.offset, "a packet block is too short")
        number = self._known(0)
        if number is None:
            return None
        length = self._layouts.word.unpack_from(self.window.buffer, at)[0]
        at += 4
        captured = min(length, end - at, self.interfaces[number].snap_length or length)
        self.truncated += captured < length
        return number, 0, self.window.buffer[at : at + captured], length, ""

    def _known(self, number: int) -> int | None:
        """Index into ``interfaces`` of an interface that the section declares."""
        number += self.section
        if number < len(self.interfaces):
            return number
        self.is_damaged = True
        self.note(f"{self.name}: a frame at octet {self.window.offset} is of an interface that is not declared")
        return None

    def _comment(self, at: int, end: int) -> str:
        return "\n".join(_text(value) for code, value in self._options(at, end) if code == _COMMENT)

    def _options(self, at: int, end: int) -> Iterator[tuple[int, memoryview]]:
        """Codes and values; what does not fit ends them."""
        buffer = self.window.buffer
        while end - at >= 4:
            code, length = self._layouts.option.unpack_from(buffer, at)
            at += 4
            if code == _END_OF_OPTIONS or length > end - at:
                return
            yield code, buffer[at : at + length]
            at += length + 3 & ~3


class _DamageError(Exception):
    """What ends the walk."""

    def __init__(self, offset: int, why: str) -> None:
        super().__init__(why)
        self.offset = offset
        self.why = why


def _unit(resolution: int) -> TimeUnit:
    """The option if_tsresol: a negative power of ten, or of two if the upper bit is set."""
    power = resolution & 0x7F
    if resolution & 0x80:
        return TimeUnit(_BILLION, 1 << power)
    return TimeUnit(10 ** (9 - power)) if power <= 9 else TimeUnit(1, 10 ** (power - 9))


def _text(value: memoryview) -> str:
    return bytes(value).rstrip(b"\0").decode(errors="replace")
