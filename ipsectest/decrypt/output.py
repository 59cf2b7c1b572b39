"""The capture in clear: inner packets with their times and a comment each, alone or beside the outer ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from ipsectest.base.suites import format_suite
from ipsectest.decrypt.frames import Frame, Interface
from ipsectest.decrypt.ike import Opened
from ipsectest.decrypt.ikev1 import OpenedV1
from ipsectest.decrypt.sas import CapturedSa
from ipsectest.decrypt.unwrap import Unwrapped
from ipsectest.ipsec.drop import DropReason
from ipsectest.net.pcapng import LINKTYPE_RAW, PcapngWriter

_WORDS = {
    DropReason.UNKNOWN_SPI: "no keys",
    DropReason.BAD_ICV: "ICV wrong: wrong key or damaged",
    DropReason.DUMMY: "dummy packet",
}


@dataclass(frozen=True, slots=True)
class InterfaceNumbers:
    """Numbers in the output of the capture's interfaces, by their numbers there."""

    inner: dict[int, int] = field(default_factory=dict)
    """Of decrypted packets."""
    outer: dict[int, int] = field(default_factory=dict)
    """Of frames as they were captured."""


class Output:
    """A pcapng file with an interface of decrypted packets for each of the capture's, made when it is needed.

    ``numbers``: of interfaces that are declared elsewhere, for packets that are put into another file.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        with_outer: bool = False,
        comments: bool = True,
        numbers: InterfaceNumbers | None = None,
    ) -> None:
        self.with_outer = with_outer
        self.comments = comments
        self.written = 0
        """Decrypted packets."""
        self._writer = PcapngWriter(file, "decrypted by ipsectest")
        self.numbers = numbers or InterfaceNumbers()
        self._file = file

    @property
    def name(self) -> str:
        """Of the file, for messages."""
        return str(getattr(self._file, "name", "the output"))

    def declare(self, interfaces: Sequence[Interface]) -> None:
        """Declare a capture's interfaces before their first packet."""
        for number, interface in enumerate(interfaces):
            if self.with_outer:
                self.outer_interface(number, interface)
            self.inner_interface(number, interface)

    def inner_interface(self, number: int, interface: Interface) -> int:
        """Number in this file of the interface for decrypted packets of one of the capture's."""
        numbers = self.numbers.inner
        if number not in numbers:
            name = f"{interface.name or f'interface {number}'} decrypted"
            numbers[number] = self._writer.add_interface(name, LINKTYPE_RAW)
        return numbers[number]

    def outer_interface(self, number: int, interface: Interface) -> int:
        """Number in this file of the interface for frames as they were captured."""
        numbers = self.numbers.outer
        if number not in numbers:
            name = interface.name or f"interface {number}"
            numbers[number] = self._writer.add_interface(name, interface.link_type)
        return numbers[number]

    def outer(self, frame: Frame, interface: Interface, comment: str = "") -> None:
        """Write a frame as it was captured."""
        number = self.outer_interface(frame.interface, interface)
        self._writer.packet(
            frame.nanoseconds, bytes(frame.data), interface=number, comment=comment, length=frame.length
        )

    def inner(self, frame: Frame, interface: Interface, unwrapped: Unwrapped) -> None:
        """Write what a frame carried."""
        number = self.inner_interface(frame.interface, interface)
        comment = comment_of(unwrapped) if self.comments else ""
        self._writer.packet(frame.nanoseconds, unwrapped.packet, interface=number, comment=comment)
        self.written += 1

    def message(self, frame: Frame, interface: Interface, packet: bytes, opened: Opened | OpenedV1) -> None:
        """Write an IKE message in clear, as an IP packet; one that did not open as it was, with the reason."""
        number = self.inner_interface(frame.interface, interface)
        comment = opened.failure or ("IKE decrypted" if opened.is_encrypted else "")
        self._writer.packet(
            frame.nanoseconds, packet, interface=number, comment=comment if self.comments or opened.failure else ""
        )
        self.written += 1

    def blocks(self, octets: bytes | memoryview, packets: int) -> None:
        """Append packet blocks that the fast path made."""
        self._writer.blocks(octets)
        self.written += packets

    def place(self) -> tuple[int, int] | None:
        """(descriptor, offset) where others may write what follows; None if the file is not one to write at offsets."""
        if not self._file.seekable():
            return None
        self._file.flush()
        return self._file.fileno(), self._file.tell()

    def end_at(self, offset: int, packets: int) -> None:
        """Go on behind the packets that others wrote."""
        self._file.seek(offset)
        self._file.truncate()
        self.written += packets

    def flush(self) -> None:
        """Let whoever reads have what was written."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


def comment_parts(sa: CapturedSa) -> tuple[str, str]:
    """The comment of a packet in one SA, before and behind its sequence number."""
    keys = sa.keys
    checked = "ICV good" if sa.verified and sa.association.has_integrity else "ICV not checked"
    specs = [spec for spec in (keys.encryption, keys.integrity) if spec]
    name = "AH" if keys.protocol == 2 else "ESP"
    return f"{name} {sa.association.spi.hex()} seq ", f" {format_suite(specs)} {checked}"


def comment_of(unwrapped: Unwrapped) -> str:
    """SPI, sequence number, algorithms and verdict of each SA, outermost first; then what went wrong."""
    parts = []
    for layer in unwrapped.layers:
        before, behind = comment_parts(layer.sa)
        parts.append(f"{before}{layer.sequence}{behind}{'' if layer.is_new else ' REPLAY'}")
    if unwrapped.compression:
        parts.append(unwrapped.compression)
    if unwrapped.tfc_padding:
        parts.append(f"{unwrapped.tfc_padding} octets of TFC padding")
    if unwrapped.failure:
        parts.append(why(unwrapped.failure.reason, unwrapped.failure.spi))
    return "; ".join(parts)


def why(reason: DropReason, spi: bytes = b"") -> str:
    """Why a packet did not open, in words."""
    place = f"SPI {spi.hex()}: " if spi else ""
    return f"{place}{_WORDS.get(reason, reason.value.replace('-', ' '))}"
