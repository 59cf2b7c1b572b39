"""An event loop that runs in a thread of its own, while the main thread waits for somebody to type."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self, TypeVar

from ipsectest.base.clock import Instant
from ipsectest.net.loop import EventLoop

T = TypeVar("T")
_IDLE = 3600.0


class AbandonedError(Exception):
    """Nobody waits for the job any more."""


class Worker:
    """A context manager; what ``call`` is given runs in the loop's thread, between two steps of the loop."""

    def __init__(self, loop: EventLoop) -> None:
        self.loop = loop
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._is_abandoned = self._is_over = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="event loop")

    def __enter__(self) -> Self:
        self.loop.add(self)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._put(self._end)
        self._thread.join()
        self.loop.remove(self)
        os.close(self._reading)
        os.close(self._writing)

    def call(self, job: Callable[[], T]) -> T:
        """The result of a job, or what it raises; once a machine of the loop has failed, that error.

        Interrupted by Ctrl-C it ends the job first, which sees an `AbandonedError`.
        """
        future: Future[T] = Future()
        try:
            self._begin(future, self._unless_failed(job))
            return future.result()
        except KeyboardInterrupt:
            if not future.cancel():
                self._abandon()
                future.exception()
            raise

    def clean(self, job: Callable[[], object]) -> None:
        """Run a job even after a machine has failed; one that is still running is ended first."""
        self._abandon()
        future: Future[object] = Future()
        self._begin(future, job)
        future.result()

    def handles(self) -> Sequence[int]:
        """The pipe that wakes the loop."""
        return (self._reading,)

    def readable(self, handle: int, now: Instant) -> None:
        """There are jobs; they wait until this step is over, because they may step themselves."""
        del now
        with suppress(BlockingIOError):
            os.read(handle, 512)
        if self._is_abandoned:
            raise AbandonedError

    def get_timer(self) -> None:
        """None."""

    def handle_timer(self, now: Instant) -> None:
        """Not called."""

    def _begin(self, future: "Future[T]", job: Callable[[], T]) -> None:
        def work() -> None:
            self._is_abandoned = False
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(job())
            except Exception as error:  # noqa: BLE001 - raised again by whoever asked
                future.set_exception(error)

        self._put(work)

    def _abandon(self) -> None:
        self._is_abandoned = True
        self._wake()

    def _unless_failed(self, job: Callable[[], T]) -> Callable[[], T]:
        def checked() -> T:
            if self._failure:
                raise self._failure
            return job()

        return checked

    def _put(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)
        self._wake()

    def _wake(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._writing, b"x")

    def _end(self) -> None:
        self._is_over = True

    def _run(self) -> None:
        while not self._is_over:
            with suppress(Empty):
                self._jobs.get(block=self._failure is not None)()
                continue
            try:
                self.loop.step(_IDLE)
            except AbandonedError:
                pass
            except Exception as error:  # noqa: BLE001 - told to whoever asks next
                self._failure = error
