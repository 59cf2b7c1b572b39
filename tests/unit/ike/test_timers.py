"""The heap of deadlines against looking at all of them."""

from hypothesis import given
from hypothesis import strategies as st

from ipsectest.ike.timers import Timers

ITEMS = "abcdef"
TIMES = st.none() | st.integers(0, 20).map(float)


@given(st.lists(st.tuples(st.sampled_from(ITEMS), TIMES) | st.integers(0, 20), max_size=60))
def test_earliest_is_the_minimum_and_what_is_due_is_taken_once(steps: list[tuple[str, float | None] | int]) -> None:
    deadlines: dict[str, float | None] = dict.fromkeys(ITEMS)
    timers: Timers[str] = Timers(deadlines.__getitem__)
    for step in steps:
        if isinstance(step, tuple):
            deadlines[step[0]] = step[1]
            timers.touch(step[0])
        else:
            taken = timers.take_due(step)
            due = [item for item, when in deadlines.items() if when is not None and when <= step]
            assert sorted(taken) == sorted(due)
            assert [deadlines[item] for item in taken] == sorted(deadlines[item] for item in due)
            deadlines.update(dict.fromkeys(taken))
        assert timers.earliest() == min((when for when in deadlines.values() if when is not None), default=None)


def test_what_is_due_and_stays_so_is_taken_again() -> None:
    timers: Timers[str] = Timers(lambda _: 1.0)
    timers.touch("a")
    assert [timers.take_due(1.0) for _ in range(3)] == [["a"]] * 3


def test_stale_entries_do_not_pile_up() -> None:
    deadlines = {"late": 0.0}
    timers: Timers[str] = Timers(deadlines.__getitem__)
    for when in range(10_000):
        deadlines["late"] = float(when)
        timers.touch("late")
        # The entries of before lie ahead: they go as soon as they would be first.
        assert timers.earliest() == when
    for when in range(10_000, 0, -1):
        deadlines["late"] = float(when)
        timers.touch("late")
        assert timers.earliest() == when
    assert len(timers._heap) < 100
