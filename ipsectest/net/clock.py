"""The machine's monotonic clock."""

import time

from ipsectest.base.clock import Instant


class MonotonicClock:
    """Seconds that never jump; comparable within one boot."""

    def now(self) -> Instant:
        """The current instant."""
        return time.monotonic()
