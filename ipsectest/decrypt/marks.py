"""Where in time something happened to an SA, for a picture: bounded, what lies close together is told together."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

MOST = 128
"""Marks of one kind of an SA that are kept apart."""


class Mark(NamedTuple):
    """So many packets in a span of nanoseconds since 1970."""

    since: int
    until: int
    packets: int

    def joined(self, later: "Mark") -> "Mark":
        """Both as one."""
        return Mark(min(self.since, later.since), max(self.until, later.until), self.packets + later.packets)


class Gap(NamedTuple):
    """Sequence numbers that did not come: ``missing`` of those from ``first`` to ``last``."""

    first: int
    last: int
    missing: int
    since: int
    """When the packet before came, in nanoseconds since 1970."""
    until: int
    """When the one behind came, which showed the gap."""

    @property
    def is_exact(self) -> bool:
        """Whether none of the numbers came."""
        return self.missing == self.last - self.first + 1

    def joined(self, later: "Gap") -> "Gap":
        """Both as one."""
        since, until = min(self.since, later.since), max(self.until, later.until)
        return Gap(self.first, later.last, self.missing + later.missing, since, until)


class Marks:
    """Moments in the order of the capture."""

    __slots__ = ("_all", "most")

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._all: list[Mark] = []

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, at: int) -> None:
        """Something happened."""
        self._all.append(Mark(at, at, 1))
        if len(self._all) > 2 * self.most:
            self._all = _thinned(self._all, self.most, Mark.joined)

    def merge(self, later: "Marks") -> None:
        """Add what happened behind these."""
        self._all = _thinned([*self._all, *later.told()], 2 * self.most, Mark.joined)

    def told(self) -> list[Mark]:
        """At most ``most``."""
        return _thinned(self._all, self.most, Mark.joined)


class Gaps:
    """Sequence numbers that are missing, in their order, without those that came late."""

    __slots__ = ("_all", "most")

    def __init__(self, most: int = MOST, gaps: Iterable[Gap] = ()) -> None:
        self.most = most
        self._all = list(gaps)

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, gap: Gap) -> None:
        """Numbers beyond all others, or below."""
        if gap.missing <= 0:
            return
        if self._all and gap.last < self._all[0].first:
            self._all.insert(0, gap)
        else:
            self._all.append(gap)
        if len(self._all) > 2 * self.most:
            self._all = _thinned(self._all, self.most, Gap.joined)

    def fill(self, number: int) -> None:
        """A number has come late."""
        place = bisect_right(self._all, number, key=lambda gap: gap.first) - 1
        if place < 0 or number > self._all[place].last:
            return
        gap = self._all[place]
        if not gap.is_exact:
            rest = [gap._replace(missing=gap.missing - 1)]
        else:
            rest = [
                gap._replace(last=number - 1, missing=number - gap.first),
                gap._replace(first=number + 1, missing=gap.last - number),
            ]
        self._all[place : place + 1] = [one for one in rest if one.missing > 0]

    def above(self, number: int) -> list[Gap]:
        """What is missing beyond a number."""
        cut = []
        for gap in self._all:
            first = max(gap.first, number + 1)
            if first <= gap.last:
                cut.append(gap._replace(first=first, missing=min(gap.missing, gap.last - first + 1)))
        return cut

    def copy(self) -> "Gaps":
        """The same, to be changed by itself."""
        return Gaps(self.most, self._all)

    def told(self) -> list[Mark]:
        """At most ``most``, as moments."""
        return [Mark(gap.since, gap.until, gap.missing) for gap in _thinned(self._all, self.most, Gap.joined)]


M = TypeVar("M", Mark, Gap)


def _thinned(marks: list[M], most: int, join: Callable[[M, M], M]) -> list[M]:
    """At most so many: those whose neighbours are closest become one with them."""
    spare = len(marks) - most
    if spare <= 0:
        return list(marks)
    spans = sorted(range(1, len(marks)), key=lambda place: marks[place].until - marks[place - 1].since)
    closest = set(spans[:spare])
    made: list[M] = []
    for place, mark in enumerate(marks):
        if place in closest:
            made[-1] = join(made[-1], mark)
        else:
            made.append(mark)
    return made
