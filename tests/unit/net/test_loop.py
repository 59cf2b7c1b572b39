"""The event loop with pipes and a clock of its own."""

import os
import threading
from collections.abc import Iterator

import pytest

from ipsectest.base.errors import LabError
from ipsectest.net.inside import inside, namespace_path
from ipsectest.net.loop import EventLoop


class Pipe:
    """A machine that reads a pipe and, if ``period`` is set, counts ticks."""

    def __init__(self, period: float | None = None) -> None:
        self.reader, self.writer = os.pipe()
        self.heard: list[bytes] = []
        self.ticks: list[float] = []
        self.deadline = period
        self.period = period

    def handles(self) -> list[int]:
        return [self.reader]

    def readable(self, handle: int, now: float) -> None:
        assert now > 0
        self.heard.append(os.read(handle, 100))

    def get_timer(self) -> float | None:
        return self.deadline

    def handle_timer(self, now: float) -> None:
        assert self.deadline is not None
        assert now >= self.deadline
        self.ticks.append(now)
        self.deadline = now + self.period if len(self.ticks) < 3 else None

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    machine = Pipe()
    yield machine
    machine.close()


def test_what_is_written_is_read(pipe: Pipe) -> None:
    with EventLoop() as loop:
        loop.add(pipe)
        os.write(pipe.writer, b"hello")
        assert loop.run_until(lambda: bool(pipe.heard), 5)
    assert pipe.heard == [b"hello"]


def test_a_silent_machine_runs_into_the_cap(pipe: Pipe) -> None:
    with EventLoop() as loop:
        loop.add(pipe)
        assert not loop.run_until(lambda: bool(pipe.heard), 0.02)


def test_timers_come_in_time_and_the_loop_wakes_for_them_alone() -> None:
    machine = Pipe(period=0.001)
    with EventLoop() as loop:
        machine.deadline = loop.clock.now() + 0.005
        loop.add(machine)
        assert loop.run_until(lambda: len(machine.ticks) == 3, 5)
        assert not loop.run_until(lambda: len(machine.ticks) > 3, 0.01)
    machine.close()


def test_a_removed_machine_is_left_alone(pipe: Pipe) -> None:
    class Remover(Pipe):
        def readable(self, handle: int, now: float) -> None:
            super().readable(handle, now)
            loop.remove(pipe)

    remover = Remover()
    with EventLoop() as loop:
        loop.add(remover)
        loop.add(pipe)
        os.write(remover.writer, b"first")
        assert loop.run_until(lambda: bool(remover.heard), 5)
        os.write(pipe.writer, b"unheard")
        loop.step(0.01)
    remover.close()
    assert pipe.heard == []


def test_namespaces_are_named_or_given_by_path() -> None:
    assert str(namespace_path("blue")) == "/run/netns/blue"
    assert str(namespace_path("/proc/1/ns/net")) == "/proc/1/ns/net"


def test_errors_inside_come_out_and_no_thread_stays() -> None:
    before = threading.active_count()
    with pytest.raises(LabError, match="no network namespace ipsectest-none"):
        inside("ipsectest-none", lambda: None)
    assert inside(None, lambda: 7) == 7
    assert threading.active_count() == before
