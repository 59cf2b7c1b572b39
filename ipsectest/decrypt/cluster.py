"""Workers of a Dask cluster for the parts of a file.

They read the file themselves, so it must lie where all of them see it under the same path; what they decrypt comes back
over the network and is written here. Keys go to them with every part: where others listen the cluster has to use TLS.
"""

import importlib
from asyncio import CancelledError
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

from ipsectest.base.errors import UsageError
from ipsectest.decrypt.crew import WorkerError
from ipsectest.decrypt.worker import Buffer, Conditions, Found, Job, Placed, with_blocks, with_lines, work_off, write_at

_PATIENCE = 10
"""Seconds for the scheduler to answer and to have a worker."""


def decrypt_part(job: Job, conditions: Conditions) -> tuple[Found, bytes, str]:
    """What was found in a part, and the blocks and JSON lines to be written: the task of a worker."""
    buffer = Buffer()
    found, start, lines = work_off(job, conditions, buffer)
    return found, buffer.getvalue()[start : start + found.octets], lines


class Cluster:
    """A cluster by the address of its scheduler (``tcp://host:8786``); close it in the end."""

    def __init__(self, address: str) -> None:
        """UsageError where there is none."""
        try:
            distributed: Any = importlib.import_module("distributed")  # an extra, of few types
        except ImportError as error:
            raise UsageError("--dask needs Dask: pip install 'ipsectest[cluster]'") from error
        try:
            self.client = distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
            self.client.wait_for_workers(1, timeout=_PATIENCE)
        except (OSError, ValueError, TimeoutError) as error:
            raise UsageError(f"no Dask cluster with a worker at {address}: {error}") from error

    @property
    def count(self) -> int:
        """Parts that it can work at at once."""
        threads: dict[str, int] = self.client.nthreads()
        return max(1, sum(threads.values()))

    def crew(self, count: int, conditions: Conditions) -> "ClusterCrew":
        """So many places in its queue (``parallel.Workers.crew``)."""
        return ClusterCrew(self.client, count, conditions)

    def close(self) -> None:
        """Leave it."""
        self.client.close()


class ClusterCrew:
    """Every member stands for a task that is under way; they differ in nothing."""

    def __init__(self, client: Any, count: int, conditions: Conditions) -> None:
        self._client = client
        self._conditions = conditions
        self._away = client.scatter(replace(conditions, descriptor=None if conditions.descriptor is None else -1))
        self._back: SimpleQueue[Any] = SimpleQueue()
        self._of: dict[object, Place] = {}
        self._futures: dict[object, Any] = {}
        self._written: deque[tuple[Place, OSError | bytes]] = deque()
        self.members = [Place(self) for _ in range(count)]

    def submit(self, place: "Place", job: Job) -> None:
        """Have a part decrypted somewhere."""
        job = replace(job, part=replace(job.part, path=job.part.path.resolve()))
        future: Any = self._client.submit(decrypt_part, job, self._away, pure=False)
        self._of[future.key], self._futures[future.key] = place, future
        future.add_done_callback(self._back.put)

    def write(self, place: "Place", placed: Placed) -> None:
        """Put what a part became into the output."""
        problem = write_at(self._conditions.descriptor, with_blocks(place.blocks, placed), placed.offset)
        self._written.append((place, problem or with_lines(place.lines, placed)))

    def receive(self) -> Iterator[tuple["Place", object]]:
        """What is written, or else the next part that comes back."""
        if self._written:
            yield self._written.popleft()
            return
        future = self._back.get()
        place = self._of.pop(future.key)
        del self._futures[future.key]  # the cluster forgets it with the last reference
        try:
            found, place.blocks, place.lines = future.result()
        except (
            Exception,
            CancelledError,
        ) as error:  # a file that it does not see, another version ...
            raise WorkerError(f"a worker of the cluster failed: {type(error).__name__}: {error}") from error
        yield place, found

    def dismiss(self) -> None:
        """Give up what is under way."""
        self._client.cancel([*self._futures.values(), self._away], force=True)


class Place:
    """A place in the queue of the cluster."""

    def __init__(self, crew: ClusterCrew) -> None:
        self._crew = crew
        self.blocks, self.lines = b"", ""

    def send(self, said: object, /) -> None:
        """A `Job`, or the offset to write its outcome at; None: it is not wanted."""
        if isinstance(said, Job):
            self._crew.submit(self, said)
            return
        if isinstance(said, Placed):
            self._crew.write(self, said)
        self.blocks, self.lines = b"", ""
