"""A run's things on this machine: made through here, removed in reverse order at the end."""

import os
import secrets
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from ipsectest.base.errors import LabError
from ipsectest.lab import namespaces
from ipsectest.lab.journal import PREFIX, Journal, Thing, remove
from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.privileges import can_make_namespaces
from ipsectest.lab.processes import Launch, Process


class Closeable(Protocol):
    """Something whose descriptors are all there is of it, so that the kernel removes it when this process dies."""

    def close(self) -> None:
        """Let go of it."""
        ...


class Lab:
    """Makes namespaces, directories and processes, each journalled first; a context manager.

    Raises LabError where the machine does not let us.
    """

    def __init__(self, run: str | None = None) -> None:
        self.run = run or secrets.token_hex(3)
        self._journal = Journal(self.run)
        self._stack = ExitStack()
        self._stack.callback(self._journal.close)
        self.directory_root = self._directory(self._journal.directory / self.run)

    def namespace(self, name: str) -> Namespace:
        """A new network namespace ``ipsectest-<run>-<name>``, loopback up."""
        if not can_make_namespaces():
            raise LabError("network namespaces need root or a user namespace (see ipsectest doctor)")
        full = f"{PREFIX}{self.run}-{name}"
        self._journalled(Thing("namespace", full))
        namespace, held = namespaces.create(full)
        self._stack.callback(os.close, held)
        return namespace

    def directory(self, name: str) -> Path:
        """A new directory, mode 0700, for secrets, sockets and logs of one instance."""
        return self._directory(self.directory_root / name)

    def process(self, launch: Launch, output: Path) -> Process:
        """Start a program; its stdout and stderr are appended to ``output``."""
        process = Process(launch, output)
        # Journalled late, but not too late: a child whose parent is killed before this line dies with it (launch.py).
        self._journal.add(Thing("process", str(process.pid), process.start))
        self._stack.callback(process.stop)
        return process

    def owns(self, thing: Closeable) -> None:
        """Close something at the end, before what was made earlier is removed."""
        self._stack.callback(thing.close)

    def close(self) -> None:
        """Remove everything this lab made."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _journalled(self, thing: Thing) -> None:
        self._journal.add(thing)
        self._stack.callback(remove, thing)

    def _directory(self, path: Path) -> Path:
        self._journalled(Thing("directory", str(path)))
        path.mkdir(mode=0o700)
        return path
