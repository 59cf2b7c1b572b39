"""Those who work off the parts of a file, as they are told: processes that were forked off this one."""

import multiprocessing
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Protocol

from ipsectest.base.errors import IpsectestError
from ipsectest.decrypt.worker import Conditions, work

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess


class WorkerError(IpsectestError):
    """A worker ended before its work did."""


class Member(Protocol):
    """A worker. It gets a `Job`, answers with what it `Found`, and is told the offset to write at (None: nowhere)."""

    def send(self, said: object, /) -> None:
        """Tell it something."""
        ...


class Crew(Protocol):
    """All workers of a file."""

    @property
    def members(self) -> Sequence[Member]:
        """Each takes one job after another."""
        ...

    def receive(self) -> Iterator[tuple[Member, object]]:
        """What they say next: what was `Found`, then None, or an OSError, when it is written; WorkerError."""
        ...

    def dismiss(self) -> None:
        """They are no longer needed, done or not."""
        ...


class ForkedCrew:
    """The processes. They end by themselves when this one does."""

    def __init__(self, count: int, conditions: Conditions) -> None:
        context = multiprocessing.get_context("fork")  # keys and descriptor need not be handed over
        pairs = [context.Pipe() for _ in range(count)]
        self.members: list[Connection] = [mine for mine, _ in pairs]
        self._processes: list[ForkProcess] = []
        for _, theirs in pairs:
            others = [*self.members, *(other for _, other in pairs if other is not theirs)]
            process = context.Process(target=work, args=(theirs, others, conditions), daemon=True)
            process.start()
            self._processes.append(process)
        for _, theirs in pairs:
            theirs.close()

    def receive(self) -> Iterator[tuple[Connection, object]]:
        """What the workers say next."""
        for connection in wait(self.members):
            if isinstance(connection, Connection):
                try:
                    yield connection, connection.recv()
                except (EOFError, ConnectionResetError) as error:
                    raise WorkerError("a worker of decrypt ended unexpectedly; try again with --jobs 1") from error

    def dismiss(self) -> None:
        """End the processes."""
        # Not SIGTERM: a child loses it that comes before the handler of its parent is taken from it (cli.dispatch).
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
        for connection in self.members:
            connection.close()
