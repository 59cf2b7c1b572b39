"""The replay window against a model that remembers everything."""

from hypothesis import given
from hypothesis import strategies as st

from ipsectest.ipsec.drop import DropReason
from ipsectest.ipsec.replay import ReplayWindow

WRAP = 1 << 32
sizes = st.sampled_from([32, 64, 100, 128, 1024, 4096])


def model(size: int, seen: set[int], sequence: int) -> DropReason | None:
    highest = max(seen, default=0)
    if sequence <= 0:
        return DropReason.SEQUENCE_ZERO
    if sequence in seen and sequence > highest - size:
        return DropReason.REPLAYED
    return DropReason.LEFT_OF_WINDOW if sequence <= highest - size else None


@given(sizes, st.lists(st.integers(-5000, 5000), max_size=200))
def test_the_window_decides_as_a_memory_of_all_numbers_would(size: int, steps: list[int]) -> None:
    window, seen = ReplayWindow(size), set()
    for step in steps:
        sequence = max(0, max(seen, default=0) + step)
        verdict = window.judge(sequence)
        assert verdict == model(size, seen, sequence)
        if verdict is None:
            window.accept(sequence)
            seen.add(sequence)
            assert window.judge(sequence) is DropReason.REPLAYED


@given(sizes, st.integers(1, (1 << 40)), st.data())
def test_extended_numbers_near_the_window_are_inferred(size: int, highest: int, data: st.DataObject) -> None:
    # RFC 4303 appendix A2.2: right for all of the window and for 2^32 - W numbers ahead of it.
    window = ReplayWindow(size, esn=True, highest=highest)
    sequence = data.draw(st.integers(max(1, highest - size + 1), highest + WRAP - size))
    assert window.infer(sequence % WRAP) == sequence


def test_case_a_and_case_b_of_appendix_a2() -> None:
    inside = ReplayWindow(64, esn=True, highest=5 * WRAP + 1000)
    assert inside.infer(1000 - 63) == 5 * WRAP + 1000 - 63
    assert inside.infer(1000 - 64) == 6 * WRAP + 1000 - 64
    straddling = ReplayWindow(64, esn=True, highest=5 * WRAP + 10)
    assert straddling.infer(WRAP - 53) == 4 * WRAP + WRAP - 53
    assert straddling.infer(WRAP - 54) == 5 * WRAP + WRAP - 54
    assert straddling.infer(11) == 5 * WRAP + 11


def test_a_number_before_the_first_packet_is_left_of_the_window() -> None:
    fresh = ReplayWindow(64, esn=True)
    assert fresh.infer(WRAP - 1) == -1
    assert fresh.judge(-1) is DropReason.LEFT_OF_WINDOW
    assert fresh.judge(0) is DropReason.SEQUENCE_ZERO


def test_numbers_beyond_64_bits_are_refused() -> None:
    window = ReplayWindow(64, esn=True, highest=WRAP * WRAP - 1)
    assert window.judge(window.infer(5)) is DropReason.SEQUENCE_EXHAUSTED


def test_without_a_window_duplicates_pass_and_extended_numbers_are_still_followed() -> None:
    window = ReplayWindow(0, esn=True)
    for sequence in (1, 1, WRAP - 1, WRAP + 7, WRAP - 1):
        window.accept(sequence)
    assert window.judge(1) is None
    assert window.highest == WRAP + 7
    assert window.infer(8) == WRAP + 8


def test_a_leap_costs_no_memory() -> None:
    window = ReplayWindow(4096, esn=True)
    for sequence in (1, 1 << 60, (1 << 60) + 1):
        assert window.judge(sequence) is None
        window.accept(sequence)
    assert window._seen.bit_length() <= 4096
