"""Where in time packets were lost or came twice: exact while there are few, bounded and complete in sum ever after."""

from copy import copy

from hypothesis import given
from hypothesis import strategies as st

from ipsectest.decrypt.marks import MOST, Gap, Gaps, Mark, Marks
from ipsectest.decrypt.sequence import SequenceTrack

NUMBERS = st.lists(st.integers(1, 60), max_size=60)


def track_of(numbers: list[int], start: int = 0) -> SequenceTrack:
    track = SequenceTrack()
    for at, number in enumerate(numbers, start=start):
        track.take(number, at * 10)
    return track


def test_a_gap_lies_between_the_packets_around_it() -> None:
    assert track_of([1, 2, 6, 7]).gaps.told() == [Mark(10, 20, 3)]


def test_a_late_packet_takes_its_number_out_of_the_gap() -> None:
    assert track_of([1, 5, 3]).gaps.told() == [Mark(0, 10, 1), Mark(0, 10, 1)]
    assert track_of([1, 5, 3, 2, 4]).gaps.told() == []


def test_a_replay_leaves_the_gaps_alone() -> None:
    assert track_of([1, 3, 1, 3, 3]).gaps.told() == [Mark(0, 10, 1)]


def test_the_fast_path_leaves_the_time_of_the_last_packet() -> None:
    track = track_of([1])
    track.advance(3, 10, 90)
    track.take(7, 200)
    assert track.gaps.told() == [Mark(90, 200, 2)]


@given(NUMBERS)
def test_the_gaps_are_the_numbers_that_never_came(numbers: list[int]) -> None:
    track = track_of(numbers)
    assert sum(mark.packets for mark in track.gaps.told()) == track.lost


@given(NUMBERS, st.integers(0, 60))
def test_parts_of_a_file_have_the_gaps_of_the_whole(numbers: list[int], cut: int) -> None:
    whole, first, second = track_of(numbers), track_of(numbers[:cut]), track_of(numbers[cut:], start=cut)
    if not first.takes_as_new(second):
        return
    kept = copy(first)
    kept.merge(second)
    assert sum(mark.packets for mark in kept.gaps.told()) == kept.lost == whole.lost
    assert first.gaps.told() == track_of(numbers[:cut]).gaps.told()


@given(st.lists(st.integers(1, 5), min_size=1, max_size=1000))
def test_many_gaps_are_few_marks_with_the_same_sum(skips: list[int]) -> None:
    track, number = SequenceTrack(), 1
    for at, skip in enumerate(skips):
        track.take(number, at)
        number += skip
    told = track.gaps.told()
    assert len(told) <= MOST
    assert sum(mark.packets for mark in told) == track.lost
    assert told == sorted(told)


def test_a_number_late_in_what_was_joined_is_counted_off_once() -> None:
    gaps = Gaps(most=1)
    for first in range(10, 50, 10):
        gaps.add(Gap(first, first + 1, 2, first, first + 1))
    gaps.fill(31)
    assert sum(mark.packets for mark in gaps.told()) == 7
    gaps.fill(5)
    gaps.fill(99)
    assert sum(mark.packets for mark in gaps.told()) == 7


def test_moments_close_together_become_one_first() -> None:
    marks = Marks(most=2)
    for at in (0, 1, 2, 100, 1000):
        marks.add(at)
    assert marks.told() == [Mark(0, 100, 4), Mark(1000, 1000, 1)]
    others = Marks(most=2)
    others.add(2000)
    marks.merge(others)
    assert sum(mark.packets for mark in marks.told()) == 6
    assert len(marks.told()) == 2
