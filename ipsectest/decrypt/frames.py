"""Frames of a capture, as every reader gives them and every other part of the room takes them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Interface:
    """Where frames were captured."""

    link_type: int
    """LINKTYPE_ number of the registry of tcpdump.org: 1 Ethernet, 101 raw IP, 113 Linux cooked, ..."""
    name: str = ""
    snap_length: int = 0
    """Octets kept of a frame at most; 0: all."""


@dataclass(slots=True)
class Frame:
    """One captured frame."""

    number: int
    """From 1, as Wireshark counts."""
    nanoseconds: int
    """Since 1970-01-01 UTC."""
    interface: int
    """Index into ``Capture.interfaces``."""
    data: bytes | memoryview
    """What was captured of it."""
    length: int
    """Octets it had on the wire; more than ``len(data)`` if it was truncated."""
    comment: str = ""


class Capture(Protocol):
    """An open capture file: ``capture.open_capture`` gives one. Memory does not grow with its length."""

    interfaces: list[Interface]
    """Grows while a pcapng file is read."""
    notes: list[str]
    """What was wrong with the file and passed over, in words; bounded."""

    def frames(self) -> Iterator[Frame]:
        """Every frame once, in the order of the file. InputError where nothing more can be read."""
        ...

    def position(self) -> tuple[int, int | None]:
        """Octets of the file read and its size (None for a stream), for a progress bar."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...
