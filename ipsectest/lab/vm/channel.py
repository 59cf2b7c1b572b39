"""The command channel of a guest: one shell command at a time over a virtio-serial port, with its exit status.

A request is a line ``TOKEN COMMAND``, the answer is the command's output, a byte 1, ``TOKEN STATUS`` and a newline
(``init.sh`` is the other end). Tokens are fresh each time, so output can hold anything, and the late answer to a
command that was given up is recognised and skipped.
"""

import re
import secrets
import select
import shlex
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ipsectest.base.errors import LabError

_MARK = b"\x01"
_MAX_OUTPUT = 1 << 20
_MAX_MARK = 32
_MAX_LINE = 1024
_PIECE = 1 << 16
_GRACE = 5.0
TIMED_OUT = 124
"""Exit status of a command that was ended because its time was over (as timeout(1) has it)."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a command."""

    status: int
    output: bytes
    """Standard output and error as written, at most the limit."""
    truncated: bool = False
    """Whether there was more."""

    @property
    def text(self) -> str:
        """The output as text without white space around it."""
        return self.output.decode(errors="replace").strip()


class Answer:
    """Collects the answer to one request from whatever pieces it arrives in; keeps at most ``limit`` octets.

    With a ``sink`` all output goes there at once, and none is kept.
    """

    def __init__(self, token: str, limit: int = _MAX_OUTPUT, sink: Callable[[bytes], object] | None = None) -> None:
        self._end = re.compile(re.escape(_MARK + token.encode()) + rb" (\d{1,3})\n")
        self._limit = limit
        self._sink = sink
        self._kept = bytearray()
        self._recent = bytearray()
        self._truncated = False

    def feed(self, data: bytes) -> Result | None:
        """Take a piece; the result once the end has arrived."""
        self._recent += data
        found = self._end.search(self._recent)
        if found:
            self._keep(self._recent[: found.start()])
            return Result(int(found[1]), bytes(self._kept), self._truncated)
        # The end may be cut anywhere, so what may be its beginning stays uninterpreted for now.
        mark = self._recent.find(_MARK, max(0, len(self._recent) - _MAX_MARK))
        settled = mark if mark >= 0 else len(self._recent)
        self._keep(self._recent[:settled])
        del self._recent[:settled]
        return None

    def _keep(self, data: bytearray) -> None:
        if self._sink:
            self._sink(bytes(data))
            return
        room = self._limit - len(self._kept)
        self._kept += data[:room]
        self._truncated |= len(data) > room


def request(token: str, command: str) -> bytes:
    """The line that asks for a one-line shell command."""
    if "\n" in command:
        raise ValueError("a request is one line")
    return f"{token} {command}\n".encode()


def script(text: str) -> str:
    """A one-line command that runs a shell script of any number of lines, without input."""
    escaped = text.replace("\\", "\\0134").replace("\n", "\\0012")
    return f"""eval "$(printf %b {shlex.quote(escaped)})" </dev/null"""


class Channel:
    """Our end of one port; for one thread at a time. Raises LabError when the guest does not answer in time."""

    def __init__(self, path: Path, number: int) -> None:
        self.number = number
        self._socket = connect(path)
        self._answer: Answer | None = None
        self.token = ""
        """Of the command that was started last."""

    def fileno(self) -> int:
        """Readable when output or the end of a started command arrives."""
        return self._socket.fileno()

    def ask(self, command: str, data: bytes = b"", *, timeout: float, limit: int = _MAX_OUTPUT) -> Result:
        """Run a one-line command that may read ``data``, and await its end."""
        self.start(command, limit=limit)
        end = time.monotonic() + timeout
        self._send(data, end)
        result = self.result(end - time.monotonic())
        if result is None:
            self._answer = None
            raise LabError(f"the guest does not answer within {timeout:g} s: {command[:80]}")
        return result

    def start(self, command: str, *, limit: int = _MAX_OUTPUT, sink: Callable[[bytes], object] | None = None) -> None:
        """Send a one-line command without waiting for its end; ``sink`` gets its output as it comes."""
        self.token = secrets.token_hex(4)
        self._answer = Answer(self.token, limit, sink)
        self._send(request(self.token, command), time.monotonic() + _GRACE)

    def result(self, seconds: float) -> Result | None:
        """The result of the started command, waiting at most so long; None while it runs."""
        if self._answer is None:
            raise LabError("no command was started")
        end = time.monotonic() + seconds
        while select.select([self._socket], [], [], max(0.0, end - time.monotonic()))[0]:
            result = self._answer.feed(self._receive(_PIECE))
            if result:
                self._answer = None
                return result
        return None

    def line(self, seconds: float) -> str:
        """The first line of output of the started command, octet by octet so that nothing after it is taken."""
        end = time.monotonic() + seconds
        text = b""
        while not text.endswith(b"\n"):
            if not select.select([self._socket], [], [], max(0.0, end - time.monotonic()))[0]:
                raise LabError("the guest does not answer")
            text += self._receive(1)
            if len(text) > _MAX_LINE:
                raise LabError("the guest answers something else than a line")
        return text.decode(errors="replace").strip()

    def detach(self) -> int:
        """Hand out the descriptor, for a command that speaks a protocol of its own; this channel is over."""
        return self._socket.detach()

    def put(self, path: str, data: bytes, *, mode: int = 0o644, timeout: float = 30.0) -> None:
        """Write a file of the guest."""
        place = shlex.quote(path)
        command = f"head -c {len(data)} >{place} && chmod {mode:o} {place}" if data else f": >{place}"
        result = self.ask(command, data, timeout=timeout)
        if result.status:
            raise LabError(f"cannot write {path} in the guest: {result.text}")

    def get(self, path: str, *, limit: int = 64 << 20, timeout: float = 30.0) -> bytes:
        """Read a file of the guest; LabError if it cannot be read or is longer than ``limit``."""
        result = self.ask(f"cat {shlex.quote(path)} </dev/null", timeout=timeout, limit=limit)
        if result.status or result.truncated:
            raise LabError(f"cannot read {path} in the guest: {'too long' if result.truncated else result.text}")
        return result.output

    def close(self) -> None:
        """Let go of the port; the guest's server waits for the next reader."""
        self._socket.close()

    def _receive(self, size: int) -> bytes:
        try:
            data = self._socket.recv(size)
        except OSError:
            data = b""
        if not data:
            raise LabError("the guest is gone")
        return data

    def _send(self, data: bytes, end: float) -> None:
        self._socket.settimeout(max(0.01, end - time.monotonic()))
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise LabError(f"the guest does not take what is sent: {error}") from None


def connect(path: Path) -> socket.socket:
    """A stream connection to a socket of QEMU; LabError if nobody listens."""
    made = socket.socket(socket.AF_UNIX)
    try:
        made.connect(str(path))
    except OSError as error:
        made.close()
        raise LabError(f"QEMU does not listen at {path.name}: {error.strerror}") from None
    return made
