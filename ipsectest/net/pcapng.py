"""Writing pcapng: nanosecond time stamps, directions and comments on packets, several link types in one file.

Source: draft-ietf-opsawg-pcapng. Scapy's writer knows no directions and opens one link type only.
"""

import struct
from collections.abc import Sequence
from types import TracebackType
from typing import BinaryIO, Self

from ipsectest.base.clock import Instant
from ipsectest.net.wire import Direction

LINKTYPE_ETHERNET = 1
LINKTYPE_RAW = 101
"""Packets begin with the IPv4 or IPv6 header."""

_SECTION_HEADER = 0x0A0D0D0A
_INTERFACE = 1
_ENHANCED_PACKET = 6
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_NANOSECONDS = 9
_NO_SNAP = 0

_COMMENT = 1
_IF_NAME, _IF_TSRESOL = 2, 9
_SHB_USERAPPL = 4
_EPB_FLAGS = 2


_FLAGS = {Direction.RECEIVED: 1, Direction.SENT: 2}


class PcapngWriter:
    """One section of a pcapng file; interfaces are added, then packets. Closes the file at the end."""

    def __init__(self, file: BinaryIO, comment: str = "", application: str = "ipsectest") -> None:
        self._file = file
        self._interfaces = 0
        options = [*_text(_COMMENT, comment), *_text(_SHB_USERAPPL, application)]
        self._block(_SECTION_HEADER, struct.pack("<IHHq", _BYTE_ORDER_MAGIC, 1, 0, -1), options)

    def add_interface(self, name: str, link_type: int = LINKTYPE_RAW) -> int:
        """Declare an interface; its number is given with each packet."""
        options = [*_text(_IF_NAME, name), (_IF_TSRESOL, bytes([_NANOSECONDS]))]
        self._block(_INTERFACE, struct.pack("<HHI", link_type, 0, _NO_SNAP), options)
        self._interfaces += 1
        return self._interfaces - 1

    def packet(
        self,
        nanoseconds: int,
        data: bytes,
        *,
        interface: int = 0,
        direction: Direction | None = None,
        comment: str = "",
        length: int | None = None,
    ) -> None:
        """Append one packet seen so many nanoseconds after the epoch; ``length`` of a truncated one on the wire."""
        wire = len(data) if length is None else length & 0xFFFFFFFF
        header = struct.pack(
            "<IIIII", interface, nanoseconds >> 32 & 0xFFFFFFFF, nanoseconds & 0xFFFFFFFF, len(data), wire
        )
        options = _text(_COMMENT, comment)
        if direction:
            options.append((_EPB_FLAGS, struct.pack("<I", _FLAGS[direction])))
        self._block(_ENHANCED_PACKET, header + _padded(data), options)

    def blocks(self, octets: bytes | memoryview) -> None:
        """Append whole blocks that someone else made, for interfaces of this section."""
        self._file.write(octets)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _block(self, kind: int, body: bytes, options: Sequence[tuple[int, bytes]]) -> None:
        for code, value in options:
            body += struct.pack("<HH", code, len(value)) + _padded(value)
        if options:
            body += bytes(4)  # opt_endofopt
        length = len(body) + 12
        self._file.write(struct.pack("<II", kind, length) + body + struct.pack("<I", length))


class WireCapture:
    """The tap of a packet wire: records every IP packet it is shown.

    ``epoch`` is what to add to the wire's clock (seconds) to get seconds since 1970.
    """

    def __init__(self, writer: PcapngWriter, name: str, epoch: float = 0.0) -> None:
        self._writer = writer
        self._epoch = round(epoch * 1_000_000_000)
        self._interface = writer.add_interface(name)

    def __call__(self, now: Instant, direction: Direction, packet: bytes, comment: str = "") -> None:
        """Append one IP packet."""
        # The sum is taken in integers: a float of seconds since 1970 resolves no better than 0.2 us.
        nanoseconds = self._epoch + round(now * 1_000_000_000)
        self._writer.packet(nanoseconds, packet, interface=self._interface, direction=direction, comment=comment)


def _text(code: int, text: str) -> list[tuple[int, bytes]]:
    """An option of text, if there is any; cut at what its length field can say."""
    return [(code, text.encode()[:65535])] if text else []


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
