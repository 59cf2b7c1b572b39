"""Time and randomness as arguments: the pure rooms never ask the machine for either."""

from collections.abc import Callable
from typing import Protocol

Instant = float
"""Seconds on any monotonic scale; only differences mean something."""

RandomBytes = Callable[[int], bytes]
"""Gives n octets: ``secrets.token_bytes`` in earnest, a seeded generator in tests."""


class Clock(Protocol):
    """Where the outer rooms get the time from."""

    def now(self) -> Instant:
        """The current instant in seconds."""
        ...
