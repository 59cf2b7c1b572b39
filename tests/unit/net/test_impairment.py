"""What the lanes of a bad link do to packets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.net.impairment import Fate, Impairment, Lane

PACKETS = [n.to_bytes(4, "big") + bytes(96) for n in range(2000)]


def carried(how: Impairment, interval: float = 0.001) -> tuple[Lane, list[bytes]]:
    """All packets, one each ``interval`` seconds, and what came out in which order."""
    lane, out = Lane(how), []
    for number, packet in enumerate(PACKETS):
        out += lane.leave(number * interval)
        lane.enter(packet, number * interval)
    return lane, out + lane.leave(1e9)


def test_a_good_link_changes_nothing() -> None:
    lane, out = carried(Impairment())
    assert out == PACKETS
    assert lane.get_timer() is None


def test_loss_is_about_what_was_asked_for_and_the_same_each_time() -> None:
    lane, out = carried(Impairment(loss=0.1, seed=1))
    assert 160 <= lane.fates[Fate.LOST] <= 240  # 200, six standard deviations are 80
    assert len(out) == len(PACKETS) - lane.fates[Fate.LOST]
    assert carried(Impairment(loss=0.1, seed=1))[1] == out
    assert carried(Impairment(loss=0.1, seed=2))[1] != out


def test_the_fate_of_a_packet_does_not_depend_on_other_impairments() -> None:
    lost = set(PACKETS) - set(carried(Impairment(loss=0.1, seed=1))[1])
    also_late = Impairment(loss=0.1, delay=0.01, jitter=0.005, reorder=0.1, duplicate=0.1, seed=1)
    assert set(PACKETS) - set(carried(also_late)[1]) == lost


def test_reordered_packets_overtake_and_doubled_ones_come_twice() -> None:
    lane, out = carried(Impairment(delay=0.01, reorder=0.1, duplicate=0.05, seed=3))
    assert set(out) == set(PACKETS)
    assert len(out) == len(PACKETS) + lane.fates[Fate.DUPLICATED]
    assert lane.fates[Fate.OVERTOOK] >= 100
    assert out != sorted(out)


@given(st.floats(0, 0.1), st.floats(0, 1), st.integers(0, 99))
def test_jitter_keeps_the_order_and_its_bounds(delay: float, share: float, seed: int) -> None:
    lane = Lane(Impairment(delay=delay, jitter=delay * share, seed=seed))
    for number, packet in enumerate(PACKETS[:50]):
        lane.enter(packet, number * 0.001)
    out, last = [], 0.0
    while (timer := lane.get_timer()) is not None:
        assert timer >= last
        out += lane.leave(timer)
        last = timer
    assert out == PACKETS[:50]
    assert last <= 0.049 + delay * (1 + share) + 1e-9


def test_rate_spaces_packets_and_a_full_queue_drops_the_newest() -> None:
    lane = Lane(Impairment(rate=8000, limit=10))  # 100 octets take 0.1 s
    for packet in PACKETS[:20]:
        lane.enter(packet, 0.0)
    assert lane.fates[Fate.OVERFLOWED] == 10
    assert lane.get_timer() == pytest.approx(0.1)
    assert lane.leave(0.55) == PACKETS[:5]
    assert lane.leave(1.01) == PACKETS[5:10]


@pytest.mark.parametrize(
    "wrong", [{"loss": 1.1}, {"delay": -1}, {"jitter": 0.1}, {"reorder": 0.1}, {"limit": 0}, {"duplicate": -0.1}]
)
def test_values_without_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"probability|not negative|not more than|needs a delay"):
        Impairment(**wrong)


def test_an_impairment_is_written_as_it_is_read() -> None:
    for text in ("loss=0.1,delay=0.02,seed=0", "delay=1,jitter=0.5,reorder=0.25,rate=1e+06,limit=20"):
        assert str(Impairment.of(text)) == text
    assert Impairment.of("loss=1") == Impairment(loss=1.0)
    assert str(Impairment()) == ""
