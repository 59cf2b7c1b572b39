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
        buffer = self._buffer
        buffer += data
        if self._may_have_prefix and not self._past_prefix():
            return []
        self.is_in_step = self.is_in_step or self._is_chain()
        messages = []
        at, end = 0, len(buffer)
        places: list[int] | None = None
        while True:
            if not self.is_in_step:
                places = self._places(at) if places is None else places
                found = self._next_place(places, at)
                self.passed_over += found - at
                at = found
                if not self.is_in_step:
                    break
            size = int.from_bytes(buffer[at : at + _LENGTH], "big")
            if end - at < max(_LENGTH, size):
                break
            if size < _LENGTH:  # no length of a message: the octets before were none either
                self.is_in_step = False
                self.passed_over += 1
                at += 1
                continue
            if size > _LENGTH:
                messages.append(bytes(buffer[at + _LENGTH : at + size]))
            at += size
        del buffer[:at]
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

    def _next_place(self, places: list[int], at: int) -> int:
        """Where the next message begins, which is in step then; else where octets begin that may be one's beginning."""
        while places and places[-1] < at:
            places.pop()
        if places:
            self.is_in_step = True
            return places[-1]
        if len(self._known) > _MOST_SOUGHT and bytes(self._buffer[at + _LENGTH : at + _LENGTH + 4]) in self._known:
            self.is_in_step = True
            return at
        return max(at, len(self._buffer) - _LENGTH - len(NON_ESP_MARKER) - _IKE_HEADER + 1)

    def _places(self, at: int) -> list[int]:
        """Where messages certainly begin, the last one first: IKE headers whose length fits, ESP of known SPIs.

        Looked for once in all octets, because a hostile stream falls out of step after each of them.
        """
        places = set()
        found = _IKE.search(self._buffer, at)
        while found:
            size = int.from_bytes(found[1], "big")
            if int.from_bytes(found[2], "big") == size - _LENGTH - len(NON_ESP_MARKER):
                places.add(found.start())
            found = _IKE.search(self._buffer, found.start() + 1)
        for spi in self._known if len(self._known) <= _MOST_SOUGHT else ():
            place = self._buffer.find(spi, at + _LENGTH)
            while place >= 0:
                if int.from_bytes(self._buffer[place - _LENGTH : place], "big") >= _SHORTEST:
                    places.add(place - _LENGTH)
                place = self._buffer.find(spi, place + 1)
        return sorted(places, reverse=True)

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
