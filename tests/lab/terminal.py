"""A command on a terminal."""

import os
import select
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress


class Terminal:
    """The command and what it shows."""

    def __init__(self, argv: Sequence[str], **environment: str) -> None:
        self._ours, theirs = os.openpty()
        variables = {**os.environ, **environment}
        # The terminal is to be that of the command's session: else Ctrl-C is a character like others.
        argv = ["setsid", "--ctty", *argv]
        self._process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=variables)
        os.close(theirs)
        self._seen = b""

    def until(self, text: bytes, *, again: bytes = b"") -> None:
        """Wait until it shows this behind what was waited for before; ``again``: keys to press meanwhile.

        Python at a prompt takes notice of an interrupt that came just before it waits for keys with the next key only.
        """
        for _ in range(12):
            while text not in self._seen and select.select([self._ours], [], [], 5)[0]:
                self._seen += os.read(self._ours, 4096)
            if text in self._seen:
                break
            self.type(again)
        assert text in self._seen, self._seen
        self._seen = self._seen.partition(text)[2]

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self, *, again: bytes = b"") -> int:
        """The exit status; ``again`` as for ``until``, of signals too."""
        for _ in range(4):
            with suppress(subprocess.TimeoutExpired):
                return self._process.wait(5)
            self.type(again)
        return self._process.wait(20)

    def close(self) -> None:
        """Leave nothing of it."""
        self._process.kill()
        self._process.wait()
        os.close(self._ours)
