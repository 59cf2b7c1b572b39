"""Covering arrays: few combinations in which every pair of values of two dimensions occurs (strength 2).

A greedy construction, one row at a time; no chance is involved, so the same dimensions give the same rows.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import TypeVar

Value = TypeVar("Value", bound=Hashable)
Row = tuple[Value, ...]
Choice = tuple[int, Value]
"""A dimension by its number, and one of its values."""
Pair = tuple[Choice[Value], Choice[Value]]


def cover(
    dimensions: Sequence[Sequence[Value]], allows: Callable[[Mapping[int, Value]], bool] = lambda _partial: True
) -> tuple[list[Row[Value]], list[Pair[Value]]]:
    """Rows with one value of each dimension, and the pairs that no allowed row can hold.

    ``allows`` is asked about partial rows (number of the dimension -> value); what it refuses once it must refuse
    with more values too.
    """
    wanted = dict.fromkeys(_pairs(dimensions))  # a dict keeps the order, so that ties fall the same way
    rows: list[Row[Value]] = []
    impossible: list[Pair[Value]] = []
    while wanted:
        pair = _rarest(wanted)
        row = _complete(dict(pair), dimensions, allows, wanted)
        if row is None:
            impossible.append(pair)
            del wanted[pair]
            continue
        rows.append(row)
        for held in _pairs_of(row):
            wanted.pop(held, None)
    return rows, impossible


def _pairs(dimensions: Sequence[Sequence[Value]]) -> Iterator[Pair[Value]]:
    for first, second in combinations(range(len(dimensions)), 2):
        for a, b in product(dimensions[first], dimensions[second]):
            yield (first, a), (second, b)


def _pairs_of(row: Row[Value]) -> Iterator[Pair[Value]]:
    return combinations(enumerate(row), 2)


def _rarest(wanted: Mapping[Pair[Value], None]) -> Pair[Value]:
    """The pair whose values still miss the most partners."""
    missing: dict[Choice[Value], int] = {}
    for pair in wanted:
        for choice in pair:
            missing[choice] = missing.get(choice, 0) + 1
    return max(wanted, key=lambda pair: missing[pair[0]] + missing[pair[1]])


def _complete(
    partial: dict[int, Value],
    dimensions: Sequence[Sequence[Value]],
    allows: Callable[[Mapping[int, Value]], bool],
    wanted: Mapping[Pair[Value], None],
) -> Row[Value] | None:
    """The partial row with the other dimensions filled in, those values first that bring most wanted pairs."""
    if not allows(partial):
        return None
    number = next((n for n in range(len(dimensions)) if n not in partial), None)
    if number is None:
        return tuple(partial[n] for n in range(len(dimensions)))

    def gain(value: Value) -> int:
        new = (number, value)
        return sum(((n, v), new) in wanted if n < number else (new, (n, v)) in wanted for n, v in partial.items())

    for value in sorted(dimensions[number], key=gain, reverse=True):
        row = _complete({**partial, number: value}, dimensions, allows, wanted)
        if row is not None:
            return row
    return None
