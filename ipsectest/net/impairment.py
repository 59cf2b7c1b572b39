"""What a bad link does to packets, decided by seeded chance; sans-IO, one direction."""

import heapq
from collections import Counter
from dataclasses import dataclass, fields
from enum import StrEnum
from random import Random
from typing import Self

from ipsectest.base.clock import Instant


@dataclass(frozen=True, slots=True)
class Impairment:
    """How bad. Raises ValueError for values that make no sense."""

    loss: float = 0.0
    """Probability that a packet is lost, 0 to 1."""
    delay: float = 0.0
    """Seconds each packet takes."""
    jitter: float = 0.0
    """Up to so many seconds more or less; by itself it does not change the order."""
    reorder: float = 0.0
    """Probability that a packet skips the delay and so overtakes those before it."""
    duplicate: float = 0.0
    """Probability that a packet arrives twice."""
    rate: float = 0.0
    """Bits per second, IP header included; 0: no limit."""
    limit: int = 1000
    """Packets under way at most; more are dropped at the tail."""
    seed: int | None = None
    """Same seed, same fate of the n-th packet of a direction."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Of a text such as ``loss=0.1,delay=0.02,seed=7``. Raises ValueError that says what is wrong with it."""
        known = {field.name: int if field.name in {"limit", "seed"} else float for field in fields(cls)}
        values: dict[str, float] = {}
        for word in text.split(","):
            name, _, value = word.partition("=")
            if name not in known:
                raise ValueError(f"no impairment {name!r} (there are {', '.join(known)})")
            if name in values:
                raise ValueError(f"{name} stands twice")
            try:
                values[name] = known[name](value)
            except ValueError:
                raise ValueError(f"{name} is no number: {value!r}") from None
        return cls(**values)  # type: ignore[arg-type]  # int where int is due

    def __str__(self) -> str:
        """The text that ``of`` takes, with what is not as usual."""
        told = ((field.name, getattr(self, field.name)) for field in fields(self) if field.default is not None)
        words = [f"{name}={value:g}" for name, value in told if value != getattr(type(self)(), name)]
        return ",".join(words if self.seed is None else [*words, f"seed={self.seed}"])

    def __post_init__(self) -> None:
        """Catch what would only show as a strange measurement."""
        for name in ("loss", "reorder", "duplicate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a probability from 0 to 1")
        if min(self.delay, self.jitter, self.rate) < 0 or self.limit < 1:
            raise ValueError("delay, jitter and rate are not negative, limit is at least 1")
        if self.jitter > self.delay:
            raise ValueError("jitter is not more than the delay that it varies")
        if self.reorder and not self.delay:
            raise ValueError("reorder needs a delay that a packet can skip")


class Fate(StrEnum):
    """What the link did to a packet; a late or doubled one counts as delivered too."""

    DELIVERED = "delivered"
    LOST = "lost"
    DUPLICATED = "duplicated"
    OVERTOOK = "overtook"
    OVERFLOWED = "overflowed"


class Lane:
    """One direction of a link: packets ``enter`` and ``leave`` when their time has come."""

    def __init__(self, impairment: Impairment, direction: int = 0) -> None:
        self.impairment = impairment
        self.fates: Counter[Fate] = Counter()
        self._random = Random(f"{impairment.seed}/{direction}")  # noqa: S311 - repeatable on purpose
        self._under_way: list[tuple[Instant, int, bytes]] = []
        self._entered = 0
        self._free_at: Instant = 0.0
        self._last_out: Instant = 0.0

    def enter(self, packet: bytes, now: Instant) -> None:
        """A packet is put on the link."""
        how = self.impairment
        # Always four draws, so that the fate of the n-th packet depends on nothing but n and the seed.
        loss, duplicate, reorder, jitter = (self._random.random() for _ in range(4))
        if loss < how.loss:
            self.fates[Fate.LOST] += 1
            return
        if len(self._under_way) >= how.limit:
            self.fates[Fate.OVERFLOWED] += 1
            return
        if how.rate:
            self._free_at = max(now, self._free_at) + len(packet) * 8 / how.rate
            now = self._free_at
        if reorder < how.reorder:
            self.fates[Fate.OVERTOOK] += 1
            out = now
        else:
            out = self._last_out = max(self._last_out, now + how.delay + how.jitter * (2 * jitter - 1))
        copies = 2 if duplicate < how.duplicate else 1
        self.fates[Fate.DUPLICATED] += copies - 1
        for _ in range(copies):
            self._entered += 1
            heapq.heappush(self._under_way, (out, self._entered, packet))

    def leave(self, now: Instant) -> list[bytes]:
        """The packets that arrive by now, in the order of arrival."""
        arrived = []
        while self._under_way and self._under_way[0][0] <= now:
            arrived.append(heapq.heappop(self._under_way)[2])
        self.fates[Fate.DELIVERED] += len(arrived)
        return arrived

    def get_timer(self) -> Instant | None:
        """When the next packet arrives."""
        return self._under_way[0][0] if self._under_way else None
