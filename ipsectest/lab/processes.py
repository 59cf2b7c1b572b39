"""Child processes of a run: started inside a namespace and a root, waited for by file descriptor, ended by handle."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ipsectest.base.errors import LabError
from ipsectest.lab.journal import start_time

_LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run and where: a network namespace, a root file system, and directories shown inside it."""

    argv: Sequence[str]
    """Program (absolute path as seen inside) and arguments."""
    environment: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""
    """File of the network namespace; empty: stay in this one."""
    root: str = ""
    """Pristine tree to be shown read-only as ``/``; empty: the host's own."""
    binds: Mapping[str, str] = field(default_factory=dict)
    """Directory here -> place inside."""
    directory: str = "/"
    """Working directory inside."""


class Process:
    """A running child; ``fileno`` becomes readable when it ends, so an event loop can wait for it."""

    def __init__(self, launch: Launch, output: Path) -> None:
        document = json.dumps({**asdict(launch), "parent": os.getpid()})
        with output.open("ab") as sink:
            self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and launcher
                [sys.executable, "-I", "-S", str(_LAUNCHER), document],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._child.pid
        self.start = start_time(self.pid)
        self.name = Path(launch.argv[0]).name
        self.output = output
        self._handle = os.pidfd_open(self.pid)

    def fileno(self) -> int:
        """A pidfd."""
        return self._handle

    def status(self) -> int | None:
        """None while it runs, else the exit status; the negative signal number if a signal ended it."""
        return self._child.poll()

    def wait(self, seconds: float) -> int | None:
        """The status after at most so many seconds."""
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        poll.poll(seconds * 1000)
        return self.status()

    def stop(self, grace: float = 2.0) -> int:
        """End it (SIGTERM, after ``grace`` seconds SIGKILL) and return its status; raises LabError if it cannot die."""
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
            if self.status() is None:
                signal.pidfd_send_signal(self._handle, number)
                self.wait(patience)
        status = self.status()
        if status is None:
            raise LabError(f"{self.name} (pid {self.pid}) survives SIGKILL")
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        return status
