"""JSON lines with a program of the user: one request, one answer, and no patience without end."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from ipsectest.base.errors import PeerError
from ipsectest.peers.remote.description import AdapterCommand

MOST_LINE = 1 << 20
"""Octets of one answer."""
MOST_ERRORS = 1 << 16
"""Octets of standard error that are kept: the last ones."""
_CHUNK = 1 << 16
_GRACE = 3.0
_START = 10.0
"""Seconds that a program has at least to start and give its first answer."""
_LAUNCHER = Path(__file__).with_name("launch.py")


class Conversation:
    """A running program; after an error it is over, and the program ended."""

    def __init__(self, command: AdapterCommand, folder: Path) -> None:
        """Start it in ``folder``, from where its name is looked up too."""
        self._timeout = command.timeout
        self._argv = _found(command.argv, folder)
        self._number = 0
        self._allowed = 0.0
        self._input = b""
        self.errors = bytearray()
        """What it said on standard error and nobody has taken yet."""
        self._process = subprocess.Popen(  # noqa: S603 - what the user told us to run
            [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), *self._argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        assert self._process.stderr
        self._in, self._out, self._err = (
            pipe.fileno() for pipe in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        for descriptor in (self._in, self._out, self._err):
            os.set_blocking(descriptor, False)
        self.over = ""
        """Why nothing more can be asked; empty while it can."""

    def ask(self, do: str, fields: Mapping[str, object] | None = None) -> dict[str, object]:
        """The answer to a request; PeerError if none comes in time, or nonsense."""
        if self.over:
            raise PeerError(self.over)
        self._number += 1
        line = json.dumps({"id": self._number, "do": do, **(fields or {})}).encode() + b"\n"
        self._allowed = self._timeout if self._number > 1 else max(self._timeout, _START)
        end = time.monotonic() + self._allowed
        try:
            self._write(line, do, end)
            return _parsed(self._read(do, end), do, self._number)
        except PeerError as error:
            said = self.errors.decode(errors="replace").strip().rpartition("\n")[2][-300:]
            self.over = f"the adapter {self._argv[0]}: {error}" + (f"; it said: {said}" if said else "")
            self.close(0.0)
            raise PeerError(self.over) from None

    def take_errors(self) -> str:
        """What came on standard error since the last call, or the end of it."""
        if not self.over:
            self._drain()
        text, self.errors = self.errors.decode(errors="replace"), bytearray()
        return text

    def close(self, moment: float = _GRACE) -> None:
        """End the program: it sees the end of its input, has a moment, and gets signals then, with its children."""
        process = self._process
        self.over = self.over or "the adapter was ended"
        if process.stdin and not process.stdin.closed:
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(moment)
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE)
            with contextlib.suppress(OSError):
                self._drain()
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()

    def _write(self, line: bytes, do: str, end: float) -> None:
        while line:
            self._wait(do, end, writing=True)
            try:
                line = line[os.write(self._in, line) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise PeerError(f"it takes no request {do!r}: {self._ending()}") from None

    def _read(self, do: str, end: float) -> bytes:
        while b"\n" not in self._input:
            if len(self._input) > MOST_LINE:
                raise PeerError(f"its answer to {do!r} is longer than {MOST_LINE} octets")
            self._wait(do, end)
            with contextlib.suppress(BlockingIOError):
                chunk = os.read(self._out, _CHUNK)
                if not chunk:
                    raise PeerError(f"no answer to {do!r}: {self._ending()}")
                self._input += chunk
        line, _, self._input = self._input.partition(b"\n")
        return line

    def _wait(self, do: str, end: float, *, writing: bool = False) -> None:
        """Until there is something to do, with standard error read meanwhile so that it never fills up."""
        poll = select.poll()
        poll.register(self._in if writing else self._out, select.POLLOUT if writing else select.POLLIN)
        poll.register(self._err, select.POLLIN)
        while True:
            left = end - time.monotonic()
            ready = poll.poll(max(0.0, left) * 1000)
            if not ready:
                raise PeerError(f"no answer to {do!r} within {self._allowed:g} s")
            if any(descriptor == self._err for descriptor, _ in ready) and not self._drain():
                poll.unregister(self._err)
            if any(descriptor != self._err for descriptor, _ in ready):
                return

    def _drain(self) -> bool:
        """Read what there is of standard error; False at its end."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(16):
                chunk = os.read(self._err, _CHUNK)
                if not chunk:
                    return False
                self.errors += chunk
                del self.errors[:-MOST_ERRORS]
        return True

    def _ending(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            self._process.wait(_GRACE)
            self._drain()
        status = self._process.poll()
        if status is None:
            return "it has closed its output"
        return f"ended by {signal.Signals(-status).name}" if status < 0 else f"it ended with status {status}"


def _found(argv: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """A program with a slash in its name is meant from where the file is."""
    return (str((folder / argv[0]).resolve()), *argv[1:]) if "/" in argv[0] else argv


def _parsed(line: bytes, do: str, number: int) -> dict[str, object]:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        shown = line[:80].decode(errors="replace")
        raise PeerError(f"its answer to {do!r} is no JSON object: {shown!r}")
    if answer.get("id") != number:
        raise PeerError(f"it answers {answer.get('id')!r} to {do!r}, which has the id {number}")
    return answer
