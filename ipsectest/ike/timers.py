"""The earliest of many deadlines without looking at all of them: a heap whose stale entries are skipped."""

import heapq
from collections.abc import Callable, Hashable
from itertools import count
from typing import Generic, TypeVar

from ipsectest.base.clock import Instant

Item = TypeVar("Item", bound=Hashable)
_SLACK = 64


class Timers(Generic[Item]):
    """Deadlines of items; whoever changes an item so that its deadline may move has to ``touch`` it."""

    def __init__(self, deadline_of: Callable[[Item], Instant | None]) -> None:
        """``deadline_of`` is asked once for every item touched; None: the item waits for nothing."""
        self._deadline_of = deadline_of
        self._touched: dict[Item, None] = {}
        self._due: dict[Item, Instant] = {}
        self._heap: list[tuple[Instant, int, Item]] = []
        self._number = count()

    def touch(self, item: Item) -> None:
        """The deadline of an item may have changed."""
        self._touched[item] = None

    def earliest(self) -> Instant | None:
        """The next deadline of all."""
        self._settle()
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: Instant) -> list[Item]:
        """Items whose deadline has come, the earliest first; they count as touched."""
        taken: list[Item] = []
        self._settle()
        while self._heap and self._heap[0][0] <= now:
            when, _, item = heapq.heappop(self._heap)
            if self._due.get(item) == when:
                del self._due[item]
                taken.append(item)
        self._touched.update(dict.fromkeys(taken))
        return taken

    def _settle(self) -> None:
        """Ask for the deadlines of what was touched; the heap begins with a valid entry then."""
        for item in self._touched:
            when = self._deadline_of(item)
            if when is None:
                self._due.pop(item, None)
            elif self._due.get(item) != when:
                self._due[item] = when
                heapq.heappush(self._heap, (when, next(self._number), item))
        self._touched.clear()
        if len(self._heap) > 2 * len(self._due) + _SLACK:
            self._heap = [(when, next(self._number), item) for item, when in self._due.items()]
            heapq.heapify(self._heap)
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
