# ruff: noqa: ARG002 - fakes have the signatures of what they stand for
"""A case that came to nothing is tried once more, whatever it was; here in virtual time against slow peers."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant
from ipsectest.net.loop import EventLoop
from ipsectest.peers.builtin import Builtin
from ipsectest.peers.options import DaemonOptions
from ipsectest.runner import expectations
from ipsectest.runner.conductor import Finished
from ipsectest.runner.instances import Instance
from ipsectest.runner.recorder import PeerUnderTest, Recorder
from ipsectest.runner.session import Session
from ipsectest.scenario.load import load
from ipsectest.scenario.results import Verdict
from tests.unit.scenario.conftest import written

MUST = "-> IKE_SA_INIT ...\n<- IKE_SA_INIT SA KE Nr ... [MUST 7296-2.1-02]"
SHOULD_DIFFER = "-> IKE_SA_INIT ...\n<- IKE_SA_INIT N(COOKIE) [SHOULD 7296-2.1-02]"
PRECONDITION = "-> IKE_SA_INIT ...\n<- IKE_SA_INIT SA KE Nr ...\n-> IKE_AUTH ...\n<- IKE_AUTH SA ... [MUST 7296-2.1-02]"
Delay = Callable[[int, Instant], float | None]
"""Which try it is, and when -> seconds to the answer; None: there is none."""


@dataclass
class Clock:
    at: Instant = 100.0

    def now(self) -> Instant:
        return self.at


class Daemon(Builtin):
    """The built-in endpoint with what a daemon's driver has besides."""

    raw_esp = True
    without_children = ""
    without_kernel = ""
    tries = 0

    def configure(self, settings: object) -> None:
        self.tries += 1
        super().configure(settings)  # type: ignore[arg-type]


@dataclass
class SlowWire:
    """Carries to a peer in memory and back, later than one would like."""

    peer: Daemon
    clock: Clock
    delay: Delay
    under_way: list[tuple[Instant, Datagram]] = field(default_factory=list)

    def handles(self) -> tuple[int, ...]:
        return ()

    def send(self, datagram: Datagram, now: Instant) -> bool:
        self.peer.receive(datagram, now)
        delay = self.delay(self.peer.tries, now)
        answers = self.peer.datagrams_to_send(now)
        self.under_way += [] if delay is None else [(now + delay, answer) for answer in answers]
        return True

    def receive(self, handle: int, now: Instant) -> list[Datagram]:
        due = [datagram for at, datagram in self.under_way if at <= now]
        self.under_way = [(at, datagram) for at, datagram in self.under_way if at > now]
        return due


class JumpingLoop(EventLoop):
    """Waits for nothing: the clock goes to what is due next."""

    def __init__(self, wire: SlowWire) -> None:
        super().__init__(wire.clock)
        self._wire = wire

    def step(self, timeout: float) -> None:
        clock = self._wire.clock
        timers = [machine.get_timer() for machine in self._machines] + [at for at, _ in self._wire.under_way]
        clock.at = max(clock.at, min([t for t in timers if t is not None], default=clock.at + timeout))
        for machine in list(self._machines):
            machine.readable(0, clock.at)
            timer = machine.get_timer()
            if timer is not None and timer <= clock.at:
                machine.handle_timer(clock.at)


class Lab:
    """Starts no daemon again: none of these dies."""

    def restart(self, instance: Instance) -> Daemon:
        raise AssertionError(instance)


def play(folder: Path, script: str, delay: Delay) -> tuple[Recorder, list[bool], int]:
    """One case in a phase of a run: the records, whether it passed, how often it was played."""
    clock = Clock()
    wire = SlowWire(Daemon(random.Random(1).randbytes), clock, delay)
    scenario = load(written(folder, script))
    recorder = Recorder({scenario.cases[0].scenario: scenario}, {}, 1)
    told: list[Finished] = []
    session = Session(recorder, folder, 1, progress=lambda _peer, finished: told.append(finished))
    instance = Instance(None, wire.peer, wire, DaemonOptions(), 1)  # type: ignore[arg-type]
    under_test = PeerUnderTest("slow", "1", expectations.Expectations())
    with JumpingLoop(wire) as loop:
        passed = session._phase(loop, Lab(), under_test, [(instance, scenario.cases)])  # type: ignore[arg-type]
    assert len(told) == len(recorder.results) == 1
    return recorder, passed, wire.peer.tries


def slow_at_first(seconds: float | None) -> Delay:
    return lambda tries, _now: seconds if tries == 1 else 0.01


def always(seconds: float | None) -> Delay:
    return lambda _tries, _now: seconds


@pytest.mark.parametrize(("script", "seconds"), [(MUST, 2.3), (PRECONDITION, 2.3), (PRECONDITION, 7.0)])
def test_a_peer_that_was_slow_passes_the_second_time_and_the_record_says_so(
    tmp_path: Path, script: str, seconds: float
) -> None:
    recorder, passed, tries = play(tmp_path, script, slow_at_first(seconds))
    (record,) = recorder.results
    assert (record.verdict, record.attempt, passed, tries) == (Verdict.PASS, 2, [True], 2)
    assert "a second try: the first was inconclusive, line" in record.notes[-1]


def test_a_silent_peer_fails_at_once(tmp_path: Path) -> None:
    recorder, passed, tries = play(tmp_path, MUST, always(None))
    (record,) = recorder.results
    assert (record.verdict, record.attempt, passed, tries) == (Verdict.FAIL, 1, [False], 1)


def test_a_peer_that_is_slow_twice_stays_inconclusive(tmp_path: Path) -> None:
    recorder, _, tries = play(tmp_path, MUST, lambda number, _: 2.3 if number == 1 else 9.0)
    (record,) = recorder.results
    assert (record.verdict, record.attempt, tries) == (Verdict.INCONCLUSIVE, 2, 2)


def test_a_second_try_has_the_patience_for_a_machine_that_stays_slow(tmp_path: Path) -> None:
    recorder, _, tries = play(tmp_path, PRECONDITION, always(3.0))
    (record,) = recorder.results
    assert (record.verdict, record.attempt, tries) == (Verdict.PASS, 2, 2)


def test_a_failure_that_does_not_depend_on_time_fails_again(tmp_path: Path) -> None:
    """The first answer is slow, so silence convicts nobody the first time; the second time it does."""
    answers = {1: [1.5, None], 2: [1.5, None]}

    def delay(tries: int, _now: Instant) -> float | None:
        return answers[tries].pop(0) if answers[tries] else None

    recorder, _, tries = play(tmp_path, PRECONDITION, delay)
    (record,) = recorder.results
    assert (record.verdict, record.attempt, tries) == (Verdict.FAIL, 2, 2)
    assert "an answer took 1.5 s" in record.notes[-1]


def test_a_wrong_answer_is_no_reason_to_ask_again(tmp_path: Path) -> None:
    recorder, _, tries = play(tmp_path, SHOULD_DIFFER, always(1.5))
    (record,) = recorder.results
    assert (record.verdict, record.attempt, tries) == (Verdict.NONSTRICT, 1, 1)
