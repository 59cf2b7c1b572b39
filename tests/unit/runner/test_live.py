from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant
from ipsectest.net.wire import IcmpError
from ipsectest.runner import slots
from ipsectest.runner.conductor import Conductor, Finished
from ipsectest.runner.live import HEALTH_INTERVAL, Post
from ipsectest.scenario.model import Case
from ipsectest.scenario.results import Verdict
from tests.unit.runner.runner_fakes import Echo, Script, case


@dataclass
class EchoWire:
    """Answers what is sent on it, at the next read."""

    deaf: bool = False
    icmp_errors: deque[IcmpError] = field(default_factory=deque)
    waiting: list[Datagram] = field(default_factory=list)

    def handles(self) -> tuple[int, ...]:
        return (0,)

    def receive(self, handle: int, now: Instant) -> list[Datagram]:
        del handle, now
        waiting, self.waiting = self.waiting, []
        return waiting

    def send(self, datagram: Datagram, now: Instant) -> bool:
        del now
        if not self.deaf:
            self.waiting.append(Datagram(b"answer", datagram.destination, datagram.source))
        return True

    def close(self) -> None:
        pass


def stage(peer: Echo, wire: EchoWire, count: int, restart: Callable[[], Echo]) -> tuple[Post, list[Finished]]:
    def begin(_case: Case, slot: int, now: Instant) -> tuple[Script, tuple[str, ...]]:
        return Script(slot, now, silence=1.0), slots.hosts(slots.environment(slot))

    ended: list[Finished] = []
    conductor = Conductor(peer, [case(f"a/{n}") for n in range(count)], begin, ended.append)
    return Post(conductor, wire, restart), ended


def play(post: Post, cap: float = 60.0) -> Instant:
    """What net.loop.EventLoop does, with time that jumps."""
    now = 0.0
    while not post.done and now < cap:
        post.readable(0, now)
        timer = post.get_timer()
        if timer is None:
            break
        now = max(now, timer)
        post.handle_timer(now)
    return now


def test_cases_play_over_a_wire_through_few_slots(echo: Echo) -> None:
    post, ended = stage(echo, EchoWire(), 5, lambda: echo)
    post.start(range(1, 3), 0.0)
    assert play(post) < 4.0
    assert [f.result.verdict for f in ended] == [Verdict.PASS] * 5
    assert post.get_timer() is None


def test_a_crash_fails_what_runs_and_the_rest_plays_on_after_one_restart(echo: Echo) -> None:
    fresh = Echo()
    post, ended = stage(echo, EchoWire(), 4, lambda: fresh)
    post.start(range(1, 3), 0.0)
    echo.dead = "ended by SIGSEGV"
    play(post)
    verdicts = [f.result.verdict for f in ended]
    assert verdicts == [Verdict.FAIL, Verdict.FAIL, Verdict.PASS, Verdict.PASS]
    assert "SIGSEGV" in ended[0].result.reason.text
    assert len(fresh.configured) == 2


def test_cases_that_had_not_begun_wait_for_the_fresh_daemon(echo: Echo) -> None:
    fresh = Echo()
    post, ended = stage(echo, EchoWire(), 50, lambda: fresh)
    post.start(range(1, 3), 0.0)
    post.handle_timer(0.0)
    post.readable(0, 0.0)
    echo.dead, echo.unreachable = "ended by SIGKILL", True
    play(post)
    verdicts = [f.result.verdict for f in ended]
    assert verdicts == [Verdict.FAIL] * 2 + [Verdict.PASS] * 48


def test_a_second_crash_ends_the_run(echo: Echo) -> None:
    echo.dead = "ended by SIGABRT"
    post, ended = stage(echo, EchoWire(deaf=True), 6, lambda: echo)
    post.start(range(1, 3), 0.0)
    assert play(post) <= 3 * HEALTH_INTERVAL
    assert sorted(f.result.verdict for f in ended) == [Verdict.FAIL] * 4 + [Verdict.INCONCLUSIVE] * 2
    assert len(ended) == 6
