"""SAs are rekeyed when they are old enough, by whom is told to, in virtual time."""

import pytest

from ipsectest.runner.rekey_timers import RETRY, Ages, RekeyTimers
from tests.pair.world import End, World


class Timed:
    """A world in which one end rekeys by itself."""

    def __init__(self, ages: Ages, name: str = "test") -> None:
        self.world = World()
        self.end: End = self.world.bob
        self.timers = RekeyTimers(self, self.end.endpoint, self.world.collect, {name: ages})
        self.world.establish()

    def now(self) -> float:
        return self.world.now

    def run(self, seconds: float) -> list[float]:
        """Let time pass as a loop does; when timers ran out."""
        until, fired = self.world.now + seconds, []
        while (due := self.timers.get_timer()) is not None and due < until:
            self.world.run(max(0.0, due - self.world.now))
            if (timer := self.timers.get_timer()) is not None and timer <= self.world.now:
                fired.append(round(self.world.now))
                self.timers.handle_timer(self.world.now)
            self.world.settle()
        self.world.run(until - self.world.now)
        return fired


def children(timed: Timed) -> set[bytes]:
    return {child.spi_in for child in timed.end.children()}


def test_a_child_sa_is_rekeyed_each_time_it_is_old_enough() -> None:
    timed = Timed(Ages(ike=0, child=100))
    ike, first = timed.end.ike(), children(timed)
    assert timed.run(99) == []
    assert children(timed) == first
    assert timed.run(250) == [100, 200, 300]
    assert children(timed).isdisjoint(first)
    assert timed.end.ike() is ike
    timed.world.agree()


def test_an_ike_sa_too_and_its_child_sa_does_not_get_younger_by_that() -> None:
    timed = Timed(Ages(ike=60, child=100))
    ike, first = timed.end.ike(), children(timed)
    assert timed.run(70) == [60]
    assert timed.end.ike() is not ike
    assert children(timed) == first
    assert timed.run(35) == [100]
    assert children(timed).isdisjoint(first)
    timed.world.agree()


def test_nothing_happens_to_other_connections_or_without_an_age() -> None:
    for timed in (Timed(Ages(10, 10), name="another"), Timed(Ages(0, 0))):
        assert timed.timers.get_timer() is None
        assert not list(timed.timers.handles())


def test_both_ends_may_begin_at_once() -> None:
    timed = Timed(Ages(ike=0, child=100))
    timed.timers.get_timer()
    first = children(timed)
    lost = timed.world.hold()
    timed.world.alice.endpoint.rekey_child(timed.world.alice.children()[0], timed.world.now)
    timed.world.now = 100.5
    timed.timers.handle_timer(100.5)
    assert len(lost) == 2
    timed.world.release()
    timed.world.run(5)
    assert children(timed).isdisjoint(first)
    timed.world.agree()


def test_an_attempt_that_comes_to_nothing_is_repeated() -> None:
    timed = Timed(Ages(ike=50, child=0))
    assert timed.timers.get_timer() == pytest.approx(50, abs=1)
    timed.world.hold()
    timed.timers.handle_timer(60.0)
    assert timed.timers.get_timer() == 60.0 + RETRY
    timed.timers.handle_timer(60.0 + RETRY)
    (session,) = timed.end.endpoint._sessions.values()
    assert not session.queue, "nothing more while it is at it"


def test_what_ended_meanwhile_is_forgotten() -> None:
    timed = Timed(Ages(ike=50, child=40))
    timed.timers.get_timer()
    timed.world.alice.endpoint.delete_ike(timed.world.alice.ike(), timed.world.now)
    timed.world.settle()
    sent = len(timed.world.sent)
    timed.timers.handle_timer(60.0)
    assert len(timed.world.sent) == sent
    assert timed.timers.get_timer() is None
