"""IKE and ESP in a TCP stream: the stream prefix, then messages with their lengths (RFC 9329 section 3, RFC 8229)."""

import re
from collections.abc import Collection

from ipsectest.base.iana import NON_ESP_MARKER

PREFIX = b"IKETCP"
_LENGTH = 2
_IKE_HEADER = 28
_SHORTEST = _LENGTH + 8
"""SPI and sequence number; a keepalive is shorter and never tells where messages begin."""
_LOWEST_SPI = 256
_IKE = re.compile(rb"(..)\x00{4}.{17}[\x10-\x2f].{6}(.{4})", re.DOTALL)
"""Length, marker, SPIs, next payload, version 1 or 2, ... and the length in the header (RFC 7296 section 3.1)."""
_MOST_SOUGHT = 64
"""SPIs that are looked for in the middle of segments; of more only those at their start."""
Known = Collection[bytes]
"""SPIs of ESP; more may come."""


class Framing:
    """Cuts one direction into messages. ``from_start``: the stream begins here, with its prefix if it has one."""

    def __init__(self, known: Known, *, from_start: bool) -> None:
        self._known = known
        self._buffer = bytearray()
        self._may_have_prefix = from_start
        self.is_in_step = False
        """Whether the next octets are a length."""
        self.has_prefix = False
        self.passed_over = 0
        """Octets between which and the next message nothing was recognised."""

    @property
    def held(self) -> int:
        """Octets of a message that is incomplete."""
        return len(self._buffer)

    def take(self, data: bytes) -> list[bytes]:
        """The messages that octets of the stream complete, without their lengths."""
        self._buffer += data
        if self._may_have_prefix and not self._past_prefix():
            return []
        messages = []
        while self.is_in_step or self._find_step():
            size = int.from_bytes(self._buffer[:_LENGTH], "big")
            if len(self._buffer) < max(_LENGTH, size):
                break
            if size < _LENGTH:  # no length of a message: the octets before were none either
                self.is_in_step = False
                self._pass_over(1)
                continue
            if size > _LENGTH:
                messages.append(bytes(self._buffer[_LENGTH:size]))
            del self._buffer[:size]
        return messages

    def interrupted(self) -> None:
        """Octets are missing here."""
        self._pass_over(len(self._buffer))
        self.is_in_step = self._may_have_prefix = False

    def _past_prefix(self) -> bool:
        """Whether it is known by now if the stream has the prefix, which is taken off."""
        start = bytes(self._buffer[: len(PREFIX)])
        if PREFIX.startswith(start) and start != PREFIX:
            return False
        self._may_have_prefix = False
        if start == PREFIX:
            del self._buffer[: len(PREFIX)]
            self.has_prefix = self.is_in_step = True
        return True

    def _find_step(self) -> bool:
        """Look for the first message; octets that can be none of any are passed over."""
        if self._is_chain():
            self.is_in_step = True
            return True
        at = self._first()
        if at is not None:
            self._pass_over(at)
            self.is_in_step = True
            return True
        self._pass_over(max(0, len(self._buffer) - _LENGTH - len(NON_ESP_MARKER) - _IKE_HEADER + 1))
        return False

    def _first(self) -> int | None:
        """Where a message certainly begins: an IKE header whose length fits, or ESP of a known SPI."""
        places = []
        found = _IKE.search(self._buffer)
        while found:
            size = int.from_bytes(found[1], "big")
            if int.from_bytes(found[2], "big") == size - _LENGTH - len(NON_ESP_MARKER):
                places.append(found.start())
                break
            found = _IKE.search(self._buffer, found.start() + 1)
        if len(self._known) <= _MOST_SOUGHT:
            places += [at - _LENGTH for spi in self._known if (at := self._buffer.find(spi, _LENGTH)) > 0]
        elif bytes(self._buffer[_LENGTH : _LENGTH + 4]) in self._known:
            places.append(0)
        return min(places, default=None)

    def _is_chain(self) -> bool:
        """Whether the octets are whole messages up to their end, as segments often are."""
        at, end = 0, len(self._buffer)
        while at + _SHORTEST <= end:
            size = int.from_bytes(self._buffer[at : at + _LENGTH], "big")
            spi = int.from_bytes(self._buffer[at + _LENGTH : at + _LENGTH + 4], "big")
            if size < _SHORTEST or 0 < spi < _LOWEST_SPI:
                return False
            at += size
        return at == end and at > 0

    def _pass_over(self, octets: int) -> None:
        del self._buffer[:octets]
        self.passed_over += octets
