from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant
from ipsectest.base.errors import PeerError, UnsupportedError
from ipsectest.net.wire import Direction
from ipsectest.runner import slots, virtual
from ipsectest.runner.conductor import CASE_CAP, DATAGRAM_CAP, Conductor, Finished
from ipsectest.scenario.model import Case
from ipsectest.scenario.ports import Selector, Verb
from ipsectest.scenario.results import CaseResult, Check, Level, Reason, Verdict
from tests.unit.runner.runner_fakes import Echo, Script, case


@dataclass
class Stage:
    """A conductor with all it made."""

    peer: Echo
    verb: Verb | None = None
    silence: float = 60.0
    traffic: tuple[Selector, Selector] | None = None
    runs: list[Script] = field(default_factory=list)
    ended: list[Finished] = field(default_factory=list)

    def conductor(self, cases: Iterable[Case]) -> Conductor:
        return Conductor(self.peer, cases, self._begin, self.ended.append)

    def _begin(self, _case: Case, slot: int, now: Instant) -> tuple[Script, tuple[str, ...]]:
        script = Script(slot, now, self.verb, self.silence)
        if self.traffic:
            local, remote = self.traffic
            script.settings = replace(script.settings, local_ts=(local,), remote_ts=(remote,))
        self.runs.append(script)
        return script, slots.hosts(slots.environment(slot))

    def verdicts(self) -> list[Verdict]:
        return [finished.result.verdict for finished in self.ended]


def test_silence_costs_virtual_time_only(echo: Echo) -> None:
    stage = Stage(echo)
    end = virtual.play(stage.conductor([case()]), echo)
    assert stage.verdicts() == [Verdict.PASS]
    assert end == pytest.approx(60.0 + 2 * virtual.LATENCY)


def test_a_finished_case_carries_log_and_packets_and_leaves_the_peer(echo: Echo) -> None:
    stage = Stage(echo)
    virtual.play(stage.conductor([case()]), echo)
    (finished,) = stage.ended
    assert finished.log == "log of case-1"
    assert [(d, datagram.data) for _, d, datagram in finished.seen] == [
        (Direction.SENT, b"question"),
        (Direction.RECEIVED, b"answer"),
    ]
    assert echo.forgotten == echo.configured == ["case-1"]


def test_cases_share_the_slots_and_all_come_to_an_end(echo: Echo) -> None:
    stage = Stage(echo)
    conductor = stage.conductor([case(f"a/{n}") for n in range(10)])
    conductor.start(range(1, 7), 0.0, 3)
    for running in (1, 2, 3):  # one by one, so that the clock can be read in between
        assert conductor.running == running
        conductor.handle_timer(0.0)
    now = 0.0
    while not conductor.done:
        for datagram in conductor.datagrams_to_send(now):
            answer = Datagram(b"answer", datagram.destination, datagram.source)
            conductor.receive(answer, now)
        now = max(now, conductor.get_timer() or now)
        conductor.handle_timer(now)
        assert conductor.running <= 3
    assert stage.verdicts() == [Verdict.PASS] * 10
    assert now == pytest.approx(4 * 60.0)  # ten cases, three at once
    assert [run.slot for run in stage.runs] == [1, 2, 3, 4, 5, 6, 1, 2, 3, 4]  # a slot rests as long as it can


def test_a_deaf_peer_is_given_up_at_the_cap() -> None:
    peer = Echo(deaf=True)
    stage = Stage(peer)
    assert virtual.play(stage.conductor([case()]), peer) == CASE_CAP
    assert stage.verdicts() == [Verdict.INCONCLUSIVE]


def test_a_peer_that_never_stops_talking_is_given_up() -> None:
    peer = Echo(deaf=True, chatty=True)
    stage = Stage(peer)
    virtual.play(stage.conductor([case()]), peer)
    assert stage.verdicts() == [Verdict.INCONCLUSIVE]
    assert len(stage.ended[0].seen) <= DATAGRAM_CAP + 1


@pytest.mark.parametrize("count", [1, 2000])
def test_what_the_peer_cannot_be_configured_for_is_unsupported(count: int) -> None:
    stage = Stage(Echo(unable=True))
    conductor = stage.conductor([case()] * count)
    conductor.start(range(1, 3), 0.0)
    while conductor.get_timer() == 0.0:
        conductor.handle_timer(0.0)
    assert conductor.done
    assert stage.verdicts() == [Verdict.UNSUPPORTED] * count


@pytest.mark.parametrize(
    ("verb", "answer"),
    [(Verb.COUNTER, 7), (Verb.PING, None), (Verb.LIVENESS, UnsupportedError), (Verb.DELETE_IKE, PeerError)],
)
def test_verbs_are_performed_and_answered(echo: Echo, verb: Verb, answer: object) -> None:
    stage = Stage(echo, verb)
    virtual.play(stage.conductor([case()]), echo)
    (given,) = stage.runs[0].answers
    assert isinstance(given, answer) if isinstance(answer, type) else given == answer


def test_a_crash_fails_what_runs_and_the_rest_goes_on_with_a_fresh_peer(echo: Echo) -> None:
    stage = Stage(echo)
    conductor = stage.conductor([case("a/1"), case("a/2"), case("a/3")])
    conductor.start(range(1, 3), 0.0)
    conductor.handle_timer(0.0)
    conductor.crashed("signal 11", 1.0)
    assert stage.verdicts() == [Verdict.FAIL] * 2
    assert "signal 11" in stage.ended[0].result.reason.text
    conductor.resume(2.0)
    assert conductor.running == 1
    conductor.abandon(Verdict.INCONCLUSIVE, "over", 3.0)
    assert conductor.done


def test_last_words_tell_in_which_case_the_peer_died(echo: Echo) -> None:
    stage = Stage(echo)
    conductor = stage.conductor([case("a/1"), case("a/2")])
    conductor.start(range(1, 3), 0.0)
    conductor.handle_timer(0.0)
    conductor.crashed("08[DMN] <case-2|112> killing ourself\nlast lines of <case-1|7>", 1.0)
    assert [(f.case.id, f.result.verdict) for f in stage.ended] == [("a/2", Verdict.FAIL)]
    conductor.resume(2.0)
    assert conductor.running == 1


def test_a_case_that_ends_beside_a_crash_is_played_again(echo: Echo) -> None:
    stage = Stage(echo)
    conductor = stage.conductor([case("a/1"), case("a/2")])
    conductor.start(range(1, 3), 0.0)
    conductor.handle_timer(0.0)
    echo.dead = "<case-2|1> killing ourself"
    stage.runs[0].result = CaseResult(Verdict.PASS, started=0.0, finished=1.0)
    conductor.datagrams_to_send(1.0)
    assert (stage.ended, conductor.halted, conductor.done) == ([], True, False)
    conductor.crashed(echo.dead, 1.0)
    assert [f.case.id for f in stage.ended] == ["a/2"]


def test_abandoning_gives_every_case_a_result(echo: Echo) -> None:
    stage = Stage(echo)
    conductor = stage.conductor([case(f"a/{n}") for n in range(5)])
    conductor.start(range(1, 3), 0.0)
    conductor.abandon(Verdict.INCONCLUSIVE, "over", 1.0)
    assert conductor.done
    assert sorted(f.case.id for f in stage.ended) == [f"a/{n}" for n in range(5)]
    assert set(stage.verdicts()) == {Verdict.INCONCLUSIVE}


def test_a_mistake_of_ours_ends_its_own_case_only(echo: Echo) -> None:
    stage = Stage(echo)
    conductor = stage.conductor([case("a/1"), case("a/2")])
    conductor.start(range(1, 3), 0.0)
    stage.runs[0].receive = lambda *_: {}["wrong"]  # type: ignore[method-assign]
    for datagram in conductor.datagrams_to_send(0.0):
        conductor.receive(Datagram(b"answer", datagram.destination, datagram.source), 0.0)
    assert stage.verdicts() == [Verdict.INCONCLUSIVE]
    assert "internal error of ipsectest: KeyError: 'wrong'" in stage.ended[0].result.reason.text
    conductor.handle_timer(0.0)
    assert conductor.running == 1


def test_a_datagram_to_nobody_is_ignored(echo: Echo) -> None:
    stage = Stage(echo)
    conductor = stage.conductor([case()])
    conductor.start(range(1, 2), 0.0)
    (sent,) = conductor.datagrams_to_send(0.0)
    conductor.receive(Datagram(b"answer", sent.destination, slots.environment(9).tester), 0.0)
    assert conductor.running == 1
    assert stage.ended == []


def test_a_mistake_of_a_driver_ends_its_own_case_only(echo: Echo) -> None:
    stage = Stage(echo)
    conductor = stage.conductor([case("a/1")])
    echo.configure = lambda _: {}["wrong"]  # type: ignore[method-assign]
    conductor.start(range(1, 3), 0.0)
    assert stage.verdicts() == [Verdict.INCONCLUSIVE]
    assert conductor.done


def test_a_result_that_cannot_be_filed_ends_the_run(echo: Echo) -> None:
    stage = Stage(echo)
    conductor = stage.conductor([case("a/1"), case("a/2")])
    conductor.start(range(1, 3), 0.0)

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    conductor._finished = full
    stage.runs[0].result = CaseResult(Verdict.PASS, started=0.0, finished=1.0)
    with pytest.raises(OSError, match="No space"):
        conductor.datagrams_to_send(1.0)


def test_time_that_a_daemon_takes_for_its_configuration_is_not_that_of_the_case(echo: Echo) -> None:
    stage, times = Stage(echo), iter([0.0, 0.6, 0.7, 0.8])
    conductor = stage.conductor([case("a/1")])
    conductor._clock = lambda: next(times)
    woken: list[float] = []
    begin = conductor._begin

    def watched(*arguments: object) -> object:
        run, hosts = begin(*arguments)  # type: ignore[arg-type]
        run.handle_timer = woken.append  # type: ignore[method-assign]
        return run, hosts

    conductor._begin = watched  # type: ignore[assignment]
    conductor.start(range(1, 2), 0.0)
    assert woken == [0.7]


def test_lines_are_judged_at_the_instant_up_to_which_the_wire_was_read(echo: Echo) -> None:
    stage = Stage(echo)
    conductor = stage.conductor([case("a/1")])
    conductor.start(range(1, 2), 0.0)
    conductor._clock = lambda: 100.0
    woken: list[float] = []
    stage.runs[0].handle_timer = woken.append  # type: ignore[method-assign]
    stage.runs[0]._timer = 5.0
    conductor.handle_timer(4.0)
    conductor.handle_timer(5.0)
    assert woken == [5.0]


def test_cases_for_the_same_traffic_run_one_after_another(echo: Echo) -> None:
    everywhere = Selector("198.51.100.0", "198.51.100.255"), Selector("203.0.113.0", "203.0.113.255")
    stage = Stage(echo, traffic=everywhere)
    conductor = stage.conductor([case(f"a/{n}") for n in range(3)])
    conductor.start(range(1, 7), 0.0)
    now = 0.0
    while not conductor.done:
        assert conductor.running == 1
        for datagram in conductor.datagrams_to_send(now):
            conductor.receive(Datagram(b"answer", datagram.destination, datagram.source), now)
        now = max(now, conductor.get_timer() or now)
        conductor.handle_timer(now)
    assert stage.verdicts() == [Verdict.PASS] * 3
    assert now == pytest.approx(3 * 60.0)


def test_time_in_which_nobody_reads_the_wire_is_not_that_of_the_other_cases(echo: Echo) -> None:
    stage, times = Stage(echo), [0.0]
    conductor = stage.conductor([case("a/1"), case("a/2")])
    conductor._clock = lambda: times[0]
    conductor.start(range(1, 3), 0.0)

    def takes_long(_: object) -> None:
        times[0] += 1.0

    echo.configure = takes_long  # type: ignore[method-assign,assignment]
    conductor.handle_timer(0.0)
    assert [run.stalls for run in stage.runs] == [[1.0], [1.0]]


def fails_by_silence(run: Script, now: Instant) -> None:
    reason = Reason(3, "<- ESP(net) pong", "nothing came", "why")
    checks = [Check("7296-2.1-02", Level.MUST, 3, False)]
    run.result = CaseResult(Verdict.FAIL, checks, reason, started=0.0, finished=now, missing=True)


@pytest.mark.parametrize(("slowest", "verdict", "met"), [(0.4, Verdict.FAIL, False), (0.6, Verdict.INCONCLUSIVE, None)])
def test_silence_convicts_nobody_while_another_case_gets_slow_answers(
    echo: Echo, slowest: float, verdict: Verdict, met: bool | None
) -> None:
    stage = Stage(echo)
    conductor = stage.conductor([case("a/1"), case("a/2")])
    conductor.start(range(1, 3), 0.0)
    conductor.handle_timer(0.0)
    stage.runs[1].slowest = slowest
    conductor.datagrams_to_send(1.0)
    fails_by_silence(stage.runs[0], 4.0)
    conductor.datagrams_to_send(4.0)
    (finished,) = stage.ended
    assert (finished.result.verdict, finished.result.checks[0].met) == (verdict, met)


@pytest.mark.parametrize(("seconds", "verdict"), [(0.5, Verdict.FAIL), (1.5, Verdict.INCONCLUSIVE)])
def test_silence_convicts_nobody_while_the_daemon_is_slow_to_forget(
    echo: Echo, seconds: float, verdict: Verdict
) -> None:
    stage, times = Stage(echo), [0.0]
    conductor = stage.conductor([case("a/1")])
    conductor._clock = lambda: times[0]
    conductor.start(range(1, 3), 0.0)

    def takes_long(_: object) -> None:
        times[0] += seconds

    echo.forget = takes_long  # type: ignore[method-assign,assignment]
    fails_by_silence(stage.runs[0], 4.0)
    times[0] = 4.0
    conductor.datagrams_to_send(4.0)
    assert stage.verdicts() == [verdict]


def test_what_was_slow_before_a_case_began_does_not_help_it(echo: Echo) -> None:
    stage = Stage(echo)
    conductor = stage.conductor([case("a/1")])
    conductor._pace.answered(0.9, 1.0)
    conductor.start(range(1, 3), 2.0)
    fails_by_silence(stage.runs[0], 6.0)
    stage.runs[0].result = replace(stage.runs[0].result, started=2.0)
    conductor.datagrams_to_send(6.0)
    assert stage.verdicts() == [Verdict.FAIL]
