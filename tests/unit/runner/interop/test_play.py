# ruff: noqa: ARG002 - fakes have the signatures of what they stand for
"""Cells of ends that exist in virtual time only: slow ones, silent ones, and what becomes of them."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from ipsectest.base.clock import Instant
from ipsectest.base.iana import TransformType
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.net.loop import EventLoop
from ipsectest.peers.reports import ChildReport, IkeReport
from ipsectest.runner.expectations import Expectations
from ipsectest.runner.interop.abilities import Abilities
from ipsectest.runner.interop.cells import ESP, IKE, Cell, Plan
from ipsectest.runner.interop.play import PATIENCE, SLUGGISH, Place, Played, Player
from ipsectest.runner.interop.record import Records
from ipsectest.runner.interop.session import Session
from ipsectest.runner.interop.settings import Ends
from ipsectest.runner.interop.watch import Seen
from ipsectest.runner.records import CaseRecord
from ipsectest.scenario.ports import PeerSettings, Verb
from ipsectest.scenario.results import Verdict

CELL = Cell("one", "two", IKE[0], ESP[0])
PLACE = Place((None, None), None, Ends("192.0.2.1", "192.0.2.2", "198.51.100.1", "203.0.113.1"))  # type: ignore[arg-type]


@dataclass
class Clock:
    at: Instant = 100.0

    def now(self) -> Instant:
        return self.at


class JumpingLoop(EventLoop):
    """Waits for nothing: the clock goes to what is due next."""

    def step(self, timeout: float) -> None:
        timers = [timer for machine in self._machines if (timer := machine.get_timer()) is not None]
        assert isinstance(self.clock, Clock)
        self.clock.at = max(self.clock.at, min([self.clock.at + timeout, *timers]))
        for machine in list(self._machines):
            machine.handle_timer(self.clock.at)


@dataclass
class Pair:
    """What two ends have; a verb has its effect after so many seconds, None: never. One number for each play."""

    clock: Clock
    delays: list[dict[Verb, float | None]]
    asking: float = 0.0
    """Seconds that it takes to ask an end what it has."""
    ike: int = 0
    child: int = 0
    plays: int = 0
    coming: list[tuple[Instant, Verb]] = field(default_factory=list)

    def begin(self) -> None:
        self.plays += 1
        self.ike = self.child = 0
        self.coming.clear()

    def perform(self, verb: Verb) -> None:
        delay = self.delays[min(self.plays, len(self.delays)) - 1].get(verb, 0.05)
        self.coming += [] if delay is None else [(self.clock.at + delay, verb)]

    def report(self, *, initiator: bool) -> list[IkeReport]:
        self.clock.at += self.asking
        for at, verb in list(self.coming):
            if at <= self.clock.at:
                self.coming.remove((at, verb))
                self._do(verb)
        if not self.ike:
            return []
        spis = (bytes([self.child, 1, 1, 1]), bytes([self.child, 2, 2, 2]))
        spi_in, spi_out = spis if initiator else reversed(spis)
        suite = tuple(spec for spec in CELL.esp_suite if spec.type in {TransformType.ENCR, TransformType.INTEG})
        child = ChildReport(spi_in, spi_out, suite, "tunnel", encapsulated=False)
        return [IkeReport(bytes([self.ike] * 8), bytes([self.ike] * 8), CELL.ike_suite, (child,))]

    def _do(self, verb: Verb) -> None:
        if verb is Verb.DELETE_IKE:
            self.ike = 0
        self.ike += verb in {Verb.INITIATE, Verb.REKEY_IKE}
        self.child += verb in {Verb.INITIATE, Verb.REKEY_CHILD}


@dataclass
class FakeEnd:
    pair: Pair
    is_initiator: bool

    def prepare(self, settings: PeerSettings) -> None:
        if self.is_initiator:
            self.pair.begin()

    def perform(self, verb: Verb) -> None:
        self.pair.perform(verb)

    def report(self) -> list[IkeReport]:
        return self.pair.report(initiator=self.is_initiator)

    def finish(self) -> tuple[str, KeyRing]:
        return "", KeyRing()

    def crash(self) -> None:
        return None


class Blind(Player):
    """Sees no wire and sends no pings."""

    def patient(self, factor: float) -> "Blind":
        return Blind(self._loop, self._random, self._slow * factor)

    @contextmanager
    def _watching(self, place: Place, played: Played) -> Iterator[None]:
        yield

    def _cross(self, place: Place, when: str, played: Played) -> None:
        pass

    def _look_at_wire(self, played: Played, ends: Ends) -> None:
        pass


@dataclass
class Stage:
    pair: Pair

    def place(self, cell: Cell) -> Place:
        return PLACE

    def ends(self, cell: Cell) -> tuple[FakeEnd, FakeEnd]:
        return FakeEnd(self.pair, is_initiator=True), FakeEnd(self.pair, is_initiator=False)


def play(*delays: dict[Verb, float | None], asking: float = 0.0) -> tuple[CaseRecord, Pair]:
    pair = Pair(Clock(), list(delays), asking)
    with JumpingLoop(pair.clock) as loop:
        able = {name: Abilities("builtin", "1") for name in ("one", "two")}
        records = Records(able, Expectations())
        session = Session(Stage(pair), Blind(loop, random.Random(1).randbytes), records)
        session.play(Plan([CELL], {}))
    (record,) = records.results
    return record, pair


def test_quick_ends_pass_at_once() -> None:
    record, pair = play({})
    assert (record.verdict, record.attempt, pair.plays) == (Verdict.PASS, 1, 1)


@pytest.mark.parametrize("verb", [Verb.INITIATE, Verb.REKEY_CHILD, Verb.REKEY_IKE, Verb.DELETE_IKE])
def test_what_comes_late_is_waited_for_longer_in_a_second_try(verb: Verb) -> None:
    record, pair = play({verb: PATIENCE + 1})
    assert (record.verdict, record.attempt, pair.plays) == (Verdict.PASS, 2, 2)
    assert "it came when the time was over" in record.notes[-1]


@pytest.mark.parametrize("verb", [Verb.INITIATE, Verb.REKEY_CHILD, Verb.REKEY_IKE, Verb.DELETE_IKE])
def test_what_never_comes_fails_at_once(verb: Verb) -> None:
    record, pair = play({verb: None})
    assert (record.verdict, record.attempt, pair.plays) == (Verdict.FAIL, 1, 1)


def test_what_never_comes_from_slow_ends_is_tried_again_and_fails_again() -> None:
    record, pair = play({Verb.INITIATE: None}, asking=SLUGGISH + 0.5)
    assert (record.verdict, record.attempt, pair.plays) == (Verdict.FAIL, 2, 2)
    assert "to ask an end what it has" in record.notes[-1]


def test_what_does_not_come_twice_from_very_slow_ends_convicts_nobody() -> None:
    record, pair = play({Verb.INITIATE: None}, asking=4 * SLUGGISH)
    assert (record.verdict, record.attempt, pair.plays) == (Verdict.INCONCLUSIVE, 2, 2)


def test_slow_answers_on_the_wire_excuse_a_tunnel_that_does_not_come_up() -> None:
    class Watched(Blind):
        @contextmanager
        def _watching(self, place: Place, played: Played) -> Iterator[None]:
            yield
            played.seen = SlowWire()

    class SlowWire(Seen):
        def slowest_answer(self) -> float:
            return 3.4

    pair = Pair(Clock(), [{Verb.INITIATE: None}])
    with JumpingLoop(pair.clock) as loop:
        played = Watched(loop, random.Random(1).randbytes).play(CELL, PLACE, *Stage(pair).ends(CELL))
        assert (played.verdict, played.problem) == (
            Verdict.INCONCLUSIVE,
            "no tunnel came up, but an answer took 3.4 s",
        )
        again = Watched(loop, random.Random(1).randbytes, 4.0).play(CELL, PLACE, *Stage(pair).ends(CELL))
    assert again.verdict is Verdict.FAIL


def test_slow_ends_are_no_excuse_for_another_suite() -> None:
    pair = Pair(Clock(), [{}], asking=SLUGGISH + 0.5)
    with JumpingLoop(pair.clock) as loop:
        other = replace(CELL, esp=ESP[1])
        played = Blind(loop, random.Random(1).randbytes).play(other, PLACE, *Stage(pair).ends(other))
    assert played.verdict is Verdict.FAIL
    assert "another suite of the Child SA" in played.problem
