"""An event loop for machines without I/O of their own: waits for descriptors and timers, never sleeps."""

import selectors
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from ipsectest.base.clock import Clock, Instant
from ipsectest.net.clock import MonotonicClock


class Machine(Protocol):
    """Something the loop runs: descriptors to read, and at most one next deadline."""

    def handles(self) -> Sequence[int]:
        """Descriptors to wait on; asked once, when the machine is added."""
        ...

    def readable(self, handle: int, now: Instant) -> None:
        """One of them has something to read."""
        ...

    def get_timer(self) -> Instant | None:
        """When ``handle_timer`` is due; None: never."""
        ...

    def handle_timer(self, now: Instant) -> None:
        """The deadline has come."""
        ...


class EventLoop:
    """Runs machines in the calling thread; a context manager."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or MonotonicClock()
        self._selector = selectors.DefaultSelector()
        self._machines: list[Machine] = []

    def add(self, machine: Machine) -> None:
        """Start to serve a machine."""
        self._machines.append(machine)
        for handle in machine.handles():
            self._selector.register(handle, selectors.EVENT_READ, machine)

    def remove(self, machine: Machine) -> None:
        """Stop to serve it; do this before its descriptors are closed."""
        self._machines.remove(machine)
        for key in [key for key in self._selector.get_map().values() if key.data is machine]:
            self._selector.unregister(key.fd)

    def step(self, timeout: float) -> None:
        """Wait until something is due, ``timeout`` seconds at most, and do it."""
        now = self.clock.now()
        deadline = min(
            (timer for machine in self._machines if (timer := machine.get_timer()) is not None), default=None
        )
        if deadline is not None:
            timeout = min(timeout, deadline - now)
        ready = self._selector.select(max(0.0, timeout))
        now = self.clock.now()
        for key, _ in ready:
            if key.data in self._machines:  # an earlier callback may have removed it
                key.data.readable(key.fd, now)
        for machine in list(self._machines):
            timer = machine.get_timer()
            if timer is not None and timer <= now:
                machine.handle_timer(now)

    def run_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Step until the condition holds; False if ``timeout`` seconds went by before it did.

        It is looked at after each step, so it should depend on what the machines do.
        """
        end = self.clock.now() + timeout
        while not condition():
            left = end - self.clock.now()
            if left <= 0:
                return False
            self.step(left)
        return True

    def close(self) -> None:
        """Let go of the machines; they are not closed."""
        self._machines.clear()
        self._selector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
