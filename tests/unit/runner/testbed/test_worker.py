"""Jobs in the thread of an event loop."""

import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from ipsectest.net.loop import EventLoop
from ipsectest.runner.testbed.worker import AbandonedError, Worker


class Broken:
    """A machine that fails at once."""

    def handles(self) -> Sequence[int]:
        return ()

    def readable(self, handle: int, now: float) -> None: ...

    def get_timer(self) -> float:
        return 0.0

    def handle_timer(self, now: float) -> None:
        del now
        raise ZeroDivisionError("a machine is broken")


def test_jobs_run_in_the_thread_of_the_loop_in_order() -> None:
    with EventLoop() as loop, Worker(loop) as worker:
        threads = [worker.call(threading.get_ident) for _ in range(3)]
        assert worker.call(lambda: loop.run_until(lambda: True, 1)) is True
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads


def test_what_a_job_raises_is_raised_where_it_was_asked_for() -> None:
    with EventLoop() as loop, Worker(loop) as worker:
        with pytest.raises(ZeroDivisionError):
            worker.call(lambda: 1 // 0)
        assert worker.call(lambda: 7) == 7


def test_a_broken_machine_is_told_and_cleaning_up_still_works() -> None:
    cleaned = []
    with EventLoop() as loop, Worker(loop) as worker:
        worker.call(lambda: loop.add(Broken()))
        with pytest.raises(ZeroDivisionError, match="a machine is broken"):
            worker.call(lambda: None)
        worker.clean(lambda: cleaned.append(1))
    assert cleaned == [1]


def test_a_job_that_nobody_waits_for_ends() -> None:
    waiting, ended = threading.Event(), threading.Event()

    def job() -> None:
        waiting.set()
        try:
            loop.run_until(lambda: False, 600)
        except AbandonedError:
            ended.set()
            raise

    def interrupt() -> None:
        assert waiting.wait(10)
        signal.pthread_kill(main, signal.SIGINT)

    main = threading.get_ident()
    with EventLoop() as loop, Worker(loop) as worker:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            worker.call(job)
        assert ended.is_set()
        assert worker.call(lambda: 7) == 7, "the loop goes on"


def test_cleaning_up_ends_the_job_that_still_runs() -> None:
    cleaned = []
    with EventLoop() as loop, Worker(loop) as worker:
        future: Future[bool] = Future()
        worker._begin(future, lambda: loop.run_until(lambda: False, 600))
        while not future.running():
            pass
        worker.clean(lambda: cleaned.append(loop.run_until(lambda: True, 1)))
    assert isinstance(future.exception(), AbandonedError)
    assert cleaned == [True]
