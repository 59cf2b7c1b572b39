"""A command on a terminal."""

import os
import select
import signal
import subprocess
from collections.abc import Sequence


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

    def until(self, text: bytes) -> None:
        """Wait until it shows this behind what was waited for before."""
        while text not in self._seen:
            assert select.select([self._ours], [], [], 60)[0], self._seen
            self._seen += os.read(self._ours, 4096)
        self._seen = self._seen.partition(text)[2]

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self) -> int:
        """The exit status."""
        return self._process.wait(20)

    def close(self) -> None:
        """Leave nothing of it."""
        self._process.kill()
        self._process.wait()
        os.close(self._ours)
