"""Rekeys of SAs whose IKE messages nobody can read: a guess, made only where times leave one answer."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

from ipsectest.decrypt.sas import CapturedSa

NEAR = 3_000_000_000
"""Nanoseconds between the last packet of an SA and the first of the one that may have replaced it, or the overlap."""
_MOST_LOOKED_AT = 64
Kind = tuple[int, tuple[str, str]]


def likely_rekeys(sas: Iterable[CapturedSa]) -> list[tuple[CapturedSa, CapturedSa]]:
    """(old, new) between the same ends, where the one ends as the other begins and no third comes into question."""
    of: dict[Kind, list[CapturedSa]] = defaultdict(list)
    for sa in sas:
        if sa.ends and sa.traffic.packets:
            of[sa.keys.protocol, sa.ends].append(sa)
    return [pair for alike in of.values() for pair in _pairs(alike)]


def _pairs(alike: list[CapturedSa]) -> list[tuple[CapturedSa, CapturedSa]]:
    by_end = sorted(alike, key=_last)
    before = {id(new): _before(new, by_end) for new in alike}
    followers: dict[int, int] = defaultdict(int)
    for olds in before.values():
        for old in olds:
            followers[id(old)] += 1
    return [(olds[0], new) for new in alike if len(olds := before[id(new)]) == 1 and followers[id(olds[0])] == 1]


def _before(new: CapturedSa, by_end: list[CapturedSa]) -> list[CapturedSa]:
    """Those that may be its predecessor; more than one is none."""
    begins = _first(new)
    start = bisect_left(by_end, begins - NEAR, key=_last)
    near = by_end[start : start + _MOST_LOOKED_AT]
    return [
        old for old in near if _last(old) <= begins + NEAR and _first(old) < begins and _last(old) < _last(new)
    ]  # fmt: skip


def _first(sa: CapturedSa) -> int:
    return sa.traffic.first or 0


def _last(sa: CapturedSa) -> int:
    return sa.traffic.last or 0
