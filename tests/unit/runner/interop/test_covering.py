from collections.abc import Mapping
from itertools import combinations, product

from hypothesis import given
from hypothesis import strategies as st

from ipsectest.runner.interop.covering import Pair, Row, cover

Dimensions = list[list[str]]
DIMENSIONS = st.lists(st.integers(1, 5), min_size=2, max_size=6).map(
    lambda sizes: [[f"{number}{value}" for value in range(size)] for number, size in enumerate(sizes)]
)


def pairs_of(row: Row[str]) -> set[Pair[str]]:
    return set(combinations(enumerate(row), 2))


def all_pairs(dimensions: Dimensions) -> set[Pair[str]]:
    return {
        ((first, a), (second, b))
        for first, second in combinations(range(len(dimensions)), 2)
        for a, b in product(dimensions[first], dimensions[second])
    }


@given(DIMENSIONS)
def test_every_pair_of_values_occurs(dimensions: Dimensions) -> None:
    rows, impossible = cover(dimensions)
    assert not impossible
    assert set().union(*map(pairs_of, rows)) == all_pairs(dimensions)
    assert len(set(rows)) == len(rows)


@given(DIMENSIONS, st.data())
def test_pairs_are_in_an_allowed_row_or_in_none_at_all(dimensions: Dimensions, data: st.DataObject) -> None:
    forbidden = data.draw(st.sets(st.sampled_from(sorted(all_pairs(dimensions))), max_size=6))

    def allows(partial: Mapping[int, str]) -> bool:
        return not any(a in partial.items() and b in partial.items() for a, b in forbidden)

    rows, impossible = cover(dimensions, allows)
    possible = set().union(*(pairs_of(row) for row in product(*dimensions) if allows(dict(enumerate(row)))), set())
    assert all(allows(dict(enumerate(row))) for row in rows)
    assert set().union(*map(pairs_of, rows), set()) == possible
    assert set(impossible) == all_pairs(dimensions) - possible


def test_few_rows_suffice() -> None:
    rows, _ = cover([list("abcdef"), list("abcde"), list("abcd"), list("ab"), list("ab"), list("abcd")])
    assert 30 <= len(rows) <= 36  # 6 * 5 is the least there can be; all combinations would be 1920


def test_the_same_dimensions_give_the_same_rows() -> None:
    dimensions = [["a", "b", "c"], ["d", "e"], ["f", "g", "h"]]
    assert cover(dimensions) == cover(dimensions)
