"""A key file while it is read: its lines, each of bounded length, and what its reader found."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from ipsectest.base.errors import InputError, Place
from ipsectest.decrypt.keys import envelope
from ipsectest.decrypt.keys.model import DhKeys, IkeKeys, IkeV1Keys, KeyRing, SaKeys
from ipsectest.decrypt.keys.soundness import UnsoundError, sound

STANDARD_INPUT = Path("-")
MAX_LINE = 1 << 14
"""Octets of a line; the rest of a longer one is passed over."""
MAX_STREAM = 1 << 28
"""Octets of standard input or a packed log, which are kept in memory."""
MAX_KEYS = 250_000
MAX_REMARKS = 100
HEAD = 1 << 18
"""Octets that tell the format."""


_GZIP = b"\x1f\x8b"


class TooManyKeysError(InputError):
    """The file has more keys than memory is given for."""


class Source:
    """One key file and the ring of what it holds."""

    def __init__(self, path: Path) -> None:
        self.name = "standard input" if path == STANDARD_INPUT else str(path)
        self.ring = KeyRing()
        self._path = path
        self._stream = self._kept()
        self._unsaid = 0

    def head(self) -> str:
        """The first part of the text, without what the journal or syslog put around its lines."""
        with self._open() as file:
            return envelope.opened_text(file.read(HEAD).decode("utf-8", "replace"))

    def start(self) -> bytes:
        """The first four octets."""
        with self._open() as file:
            return file.read(4)

    def text(self, limit: int) -> str:
        """All of it; InputError if it is longer than ``limit`` octets or no UTF-8."""
        with self._open() as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise InputError(f"more than {limit} octets", self.place())
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError("is not UTF-8", self.place(data.count(b"\n", 0, error.start) + 1)) from None

    def lines(self) -> Iterator[tuple[int, str]]:
        """Number from 1 and text of every line, without its end; octets that are no UTF-8 become U+FFFD.

        A line of the journal or of syslog gives the daemon's own lines, all with its number.
        """
        with self._open() as file:
            number = 0
            while line := file.readline(MAX_LINE):
                number += 1
                if len(line) == MAX_LINE and envelope.is_json(line):
                    line += file.readline(envelope.LONGEST - MAX_LINE)
                if len(line) in {MAX_LINE, envelope.LONGEST} and not line.endswith(b"\n"):
                    self.problem(f"longer than {len(line)} octets", number)
                    while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                        pass
                for text in envelope.opened(line.decode("utf-8", "replace").rstrip("\r\n")):
                    yield number, text

    def place(self, line: int = 0, column: int = 0) -> Place:
        """For a message."""
        return Place(self.name, line, column)

    def origin(self, line: int) -> str:
        """For ``SaKeys.origin``."""
        return str(self.place(line))

    def problem(self, message: str, line: int, column: int = 0, *, hint: str = "") -> None:
        """Something wrong; the reading goes on with the next line."""
        self._remember(InputError(message, self.place(line, column), hint=hint))

    def _remember(self, problem: InputError) -> None:
        if len(self.ring.problems) < MAX_REMARKS:
            self.ring.problems.append(problem)
        else:
            self._unsaid += 1

    def note(self, message: str, line: int = 0) -> None:
        """Something that is right and cannot be used, or was guessed; said once."""
        text = f"{self.place(line)}: {message}"
        if len(self.ring.notes) < MAX_REMARKS:
            self.ring.notes.append(text)
        else:
            self._unsaid += 1

    def add(self, keys: SaKeys | IkeKeys | IkeV1Keys | DhKeys) -> None:
        """Take keys into the ring; an SA that cannot be is a problem."""
        self._make_room()
        match keys:
            case SaKeys():
                try:
                    self.ring.sas.append(sound(keys))
                except UnsoundError as error:
                    self._remember(InputError(str(error), Place(keys.origin)))
            case IkeKeys():
                if bool(keys.spi_i) != bool(keys.spi_r):
                    self._remember(InputError("an IKE SA has two SPIs, one is missing", Place(keys.origin)))
                else:
                    self.ring.ike.append(keys)
            case IkeV1Keys():
                self.ring.ikev1.append(keys)
            case DhKeys():
                self.ring.dh.append(keys)

    def add_without_salt(self, keys: IkeKeys) -> None:
        """Take keys of an AEAD whose salt is not known."""
        self._make_room()
        self.ring.without_salt.append(keys)

    def _make_room(self) -> None:
        if self.ring.count >= MAX_KEYS:
            raise TooManyKeysError(f"keys of more than {MAX_KEYS} SAs", self.place())

    def done(self) -> KeyRing:
        """The ring, when all is read."""
        if self._unsaid:
            self.ring.notes.append(f"{self.name}: {self._unsaid} more remarks")
            self._unsaid = 0
        return self.ring

    def _kept(self) -> bytes | None:
        """Standard input, a pipe that a shell names, a packed log. None: a file that can be read again."""
        if self._path == STANDARD_INPUT:
            stream = self._bounded(sys.stdin.buffer)
        else:
            with self._path.open("rb") as file:
                is_pipe = self._path.is_fifo()
                stream = self._bounded(file) if is_pipe else file.read(len(_GZIP))
                if not is_pipe and stream != _GZIP:
                    return None
                if not is_pipe:
                    file.seek(0)
                    return self._unpacked(file)
        return self._unpacked(BytesIO(stream)) if stream.startswith(_GZIP) else stream

    def _unpacked(self, file: BinaryIO) -> bytes:
        try:
            with gzip.open(file) as packed:
                return self._bounded(packed)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"cannot be unpacked: {error}", self.place()) from None

    def _bounded(self, file: "BinaryIO | gzip.GzipFile") -> bytes:
        data = file.read(MAX_STREAM + 1)
        if len(data) > MAX_STREAM:
            raise InputError(f"more than {MAX_STREAM} octets", self.place())
        return data

    def _open(self) -> BinaryIO:
        return self._path.open("rb") if self._stream is None else BytesIO(self._stream)
