"""A limit for answers to unprotected messages (RFC 7296 section 2.21.4)."""

from dataclasses import dataclass

from ipsectest.base.clock import Instant


@dataclass(slots=True)
class RateLimit:
    """A token bucket."""

    per_second: float = 10.0
    burst: float = 20.0
    _tokens: float = 20.0
    _last: Instant | None = None

    def allows(self, now: Instant) -> bool:
        """Whether one more answer may go out now."""
        elapsed = 0.0 if self._last is None else max(0.0, now - self._last)
        self._last = now
        self._tokens = min(self.burst, self._tokens + elapsed * self.per_second)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
