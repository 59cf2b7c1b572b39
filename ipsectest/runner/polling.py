"""Waiting for daemons, which do not tell when they are done."""

from collections.abc import Callable

from ipsectest.base.clock import Instant
from ipsectest.net.loop import EventLoop

_INTERVAL = 0.01


class _Poll:
    """Lets the loop come round while nothing of ours has a deadline."""

    def __init__(self, now: Instant) -> None:
        self._due = now

    def handles(self) -> tuple[int, ...]:
        return ()

    def readable(self, handle: int, now: Instant) -> None:
        """Not called."""

    def get_timer(self) -> Instant:
        return self._due

    def handle_timer(self, now: Instant) -> None:
        self._due = now + _INTERVAL


def poll_until(loop: EventLoop, condition: Callable[[], bool], timeout: float) -> bool:
    """``EventLoop.run_until``, with the condition looked at a hundred times a second at least."""
    poll = _Poll(loop.clock.now())
    loop.add(poll)
    try:
        return loop.run_until(condition, timeout)
    finally:
        loop.remove(poll)
