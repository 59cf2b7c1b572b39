"""Counters of one kernel as a file tells them."""

from dataclasses import dataclass, field

MOST_SAS = 10_000
"""Of one file; more are left out."""


@dataclass(slots=True)
class SaCounters:
    """One direction of a Child SA since it was made."""

    line: int
    """Where it begins."""
    source: str
    destination: str
    protocol: str = ""
    """``esp`` or ``ah``."""
    spi: int = 0
    has_sent: bool = False
    """Whether it is outbound; one that has not been used yet looks inbound."""
    packets: int = 0
    """Sent, or taken: what was dropped does not count."""
    late: int = 0
    """Dropped because they lay before the replay window."""
    replayed: int = 0
    """Dropped because their sequence numbers had been there."""
    failed: int = 0
    """Dropped because of their ICV."""


@dataclass(slots=True)
class CounterFacts:
    """One file."""

    name: str
    sas: list[SaCounters] = field(default_factory=list)
    drops: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Line and count of each counter of ``/proc/net/xfrm_stat`` that is not zero."""
    left_out: int = 0
    """SAs beyond `MOST_SAS`."""
