"""Plays many cases against one peer: slots, verbs, deadlines and captures, without sockets and without a clock.

The loops of `virtual` and `live` carry datagrams and time; everything else about a running case is here.
"""

import re
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant
from ipsectest.base.errors import IpsectestError, PeerError, UnsupportedError
from ipsectest.net.wire import Direction
from ipsectest.runner.capture import Seen
from ipsectest.runner.pace import Pace
from ipsectest.scenario.model import Case
from ipsectest.scenario.ports import Peer, PeerRequest, PeerSettings
from ipsectest.scenario.results import CaseResult, Reason, Verdict
from ipsectest.scenario.run import STALL

CASE_CAP = 120.0
"""Seconds after which a case is given up, whatever its lines say."""
DATAGRAM_CAP = 5_000
"""Datagrams of one case, both directions: a peer that answers answers would never end."""


class CaseRun(Protocol):
    """What the conductor needs of ``scenario.Run``."""

    settings: PeerSettings

    @property
    def result(self) -> CaseResult | None: ...  # noqa: D102

    @property
    def slowest(self) -> float: ...  # noqa: D102

    def receive(self, datagram: Datagram, now: Instant) -> None: ...  # noqa: D102

    def datagrams_to_send(self, now: Instant) -> Sequence[Datagram]: ...  # noqa: D102

    def get_timer(self) -> Instant | None: ...  # noqa: D102

    def handle_timer(self, now: Instant) -> None: ...  # noqa: D102

    def stalled(self, now: Instant) -> None: ...  # noqa: D102

    def peer_requests(self) -> Sequence[PeerRequest]: ...  # noqa: D102

    def peer_answered(self, number: int, answer: int | IpsectestError | None, now: Instant) -> None: ...  # noqa: D102

    def parting(self, now: Instant) -> Sequence[Datagram]: ...  # noqa: D102

    def stop(self, verdict: Verdict, reason: Reason, now: Instant) -> CaseResult: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Finished:
    """A case that came to an end, with what the peer logged and what was on the wire."""

    case: Case
    result: CaseResult
    settings: PeerSettings
    log: str
    seen: list[Seen]
    attempt: int = 1


@dataclass(slots=True)
class _Active:
    case: Case
    run: CaseRun
    slot: int
    started: Instant
    hosts: tuple[str, ...]
    slowest: float = 0.0
    seen: list[Seen] = field(default_factory=list)


Begin = Callable[[Case, int, Instant], tuple[CaseRun, tuple[str, ...]]]
"""Makes the run of a case in a slot, and names the tester's addresses there."""


class Conductor:
    """Cases of one peer: `start`, then carry datagrams and time until `done`."""

    def __init__(
        self,
        peer: Peer,
        cases: Iterable[Case],
        begin: Begin,
        finished: Callable[[Finished], None],
        clock: Callable[[], Instant] | None = None,
        *,
        slow: float = 1.0,
    ) -> None:
        """``clock``: the loop's, for peers that let us wait; None where time stands still between two calls.

        ``slow``: factor on the patience of the cases.
        """
        self.peer = peer
        self._clock = clock
        self._pace = Pace(slow)
        self._waiting = deque(cases)
        self._held_back: list[Case] = []
        """Cases for the same traffic as one that runs: a kernel's SPD can lead it to one of them only."""
        self._begin = begin
        self._finished = finished
        self._free: deque[int] = deque()
        self._at_once = 0
        self._active: dict[int, _Active] = {}
        self._by_host: dict[str, _Active] = {}
        self._parting: list[Datagram] = []
        """Last words of cases that were given up."""
        self.halted = False
        """Whether the peer was found dead: nothing begins until `resume`."""
        self.abandoned = False
        """Whether cases were ended that might have gone on."""

    @property
    def done(self) -> bool:
        """Whether every case has its result."""
        return not self._active and not self._waiting and not self._held_back

    @property
    def running(self) -> int:
        """Number of cases that run at this moment."""
        return len(self._active)

    def start(self, slots: Sequence[int], now: Instant, at_once: int | None = None) -> None:
        """Begin the first case; the others follow one by one, never more than ``at_once`` (default: the slots)."""
        self._free = deque(slots)
        self._at_once = len(slots) if at_once is None else at_once
        self._fill(now)

    def receive(self, datagram: Datagram, now: Instant) -> None:
        """Take a datagram of the peer; it belongs to the case that owns the destination address."""
        active = self._by_host.get(datagram.destination.host)
        if active is not None:
            active.seen.append((now, Direction.RECEIVED, datagram))
            with self._guarded(active, now):
                active.run.receive(datagram, now)
                self._settle(active, now)

    def datagrams_to_send(self, now: Instant) -> list[Datagram]:
        """What the cases want to be on the wire now."""
        outgoing, self._parting = self._parting, []
        now = self._time(now)
        for active in list(self._active.values()):
            with self._guarded(active, now):
                for datagram in active.run.datagrams_to_send(now):
                    active.seen.append((now, Direction.SENT, datagram))
                    outgoing.append(datagram)
                self._settle(active, now)
        return outgoing

    def get_timer(self) -> Instant | None:
        """When `handle_timer` is due; None if no case runs. 0.0: at once, as a further case can begin."""
        if self._has_room:
            return 0.0
        timers = [active.run.get_timer() for active in self._active.values()]
        caps = [active.started + CASE_CAP for active in self._active.values()]
        return min([timer for timer in timers if timer is not None] + caps, default=None)

    def handle_timer(self, now: Instant) -> None:
        """Wake the cases whose time has come."""
        for active in list(self._active.values()):
            timer = active.run.get_timer()
            if timer is not None and timer <= now:
                with self._guarded(active, now):
                    active.run.handle_timer(now)
            if self._active.get(active.slot) is not active:
                continue
            if now >= active.started + CASE_CAP and active.run.result is None:
                self._give_up(active, Verdict.INCONCLUSIVE, f"no end after {CASE_CAP:.0f} s", now)
            else:
                with self._guarded(active, now):
                    self._settle(active, now)
        self._fill(now)

    def crashed(self, why: str, now: Instant) -> None:
        """The peer died: the case it died in has failed (a crash must never look like a refusal).

        The others begin anew after `resume`, with a peer that lives. Last words that name no case fail all that ran.
        """
        self.halted = True
        guilty = [active for active in self._active.values() if _named(active, why)]
        for active in list(self._active.values()):
            if guilty and active not in guilty:
                self._postpone(active)
            else:
                self._give_up(active, Verdict.FAIL, f"the peer crashed: {why}", now)

    def resume(self, now: Instant) -> None:
        """Go on with the cases that did not run yet."""
        self.halted = False
        self._fill(now)

    def abandon(self, verdict: Verdict, why: str, now: Instant) -> None:
        """End everything, begun or not."""
        self.abandoned = self.abandoned or not self.done
        for active in list(self._active.values()):
            self._give_up(active, verdict, why, now)
        while self._waiting:
            case = self._waiting.popleft()
            run, _ = self._begin(case, 1, now)
            result = CaseResult(verdict, reason=Reason(0, "", "", why), started=now, finished=now)
            self._finished(Finished(case, result, run.settings, "", []))

    @property
    def _has_room(self) -> bool:
        return bool(self._free and self._waiting) and len(self._active) < self._at_once and not self.halted

    def _fill(self, now: Instant) -> None:
        """Begin the next case. Slots queue up, so that stragglers of an old case rarely meet the next one.

        One at a time: to configure a daemon takes milliseconds that must not count as time of the cases that wait.
        """
        if self._has_room:
            self._start(self._waiting.popleft(), self._free.popleft(), now)

    def _start(self, case: Case, slot: int, now: Instant) -> None:
        run, hosts = self._begin(case, slot, now)
        if any(_same_traffic(run.settings, other.run.settings) for other in self._active.values()):
            self._held_back.append(case)
            self._free.append(slot)
            return
        active = _Active(case, run, slot, now, hosts)
        self._active[slot] = active
        self._by_host |= dict.fromkeys(hosts, active)
        try:
            with self._calling("load a connection"):
                self.peer.configure(run.settings)
        except UnsupportedError as error:
            self._give_up(active, Verdict.UNSUPPORTED, str(error), now)
        except PeerError as error:
            if self.peer.crash():  # before this case did anything: it waits for the next daemon
                self._postpone(active)
                self.halted = True
            else:
                self._give_up(active, Verdict.INCONCLUSIVE, str(error), now)
        except Exception:  # noqa: BLE001 - whatever it is
            self._end(active, _internal_error(active, now))
        else:
            now = self._time(now)
            with self._guarded(active, now):
                run.handle_timer(now)
                self._settle(active, now)

    def _time(self, now: Instant) -> Instant:
        """What time it is by now: verbs and configuration of a daemon take some that must not shorten a silence.

        Only for what begins or leaves now: lines are judged at the instant up to which the wire has been read.
        """
        return self._clock() if self._clock else now

    @contextmanager
    def _calling(self, what: str) -> Iterator[None]:
        """A call of the daemon, in which nobody reads the wire: what is waited for gets its whole time again."""
        begun = self._time(0.0)
        try:
            yield
        finally:
            ended = self._time(0.0)
            self._pace.called(what, ended - begun, ended)
            if ended - begun > STALL:
                for active in self._active.values():
                    active.run.stalled(ended)

    @contextmanager
    def _guarded(self, active: _Active, now: Instant) -> Iterator[None]:
        """A mistake of ours in one case is told in its result and does not end the others."""
        try:
            yield
        except Exception:
            if self._active.get(active.slot) is not active:
                raise  # the case is over; what failed was to file it, and that ends the run
            self._end(active, _internal_error(active, now))

    def _settle(self, active: _Active, now: Instant) -> None:
        """Pass on what the script asks of the peer, and see whether the case is over."""
        if self._active.get(active.slot) is not active:
            return
        while requests := active.run.peer_requests():
            for request in requests:
                answer = self._perform(request)
                begun = self._time(now)
                if isinstance(answer, PeerError) and self.peer.crash():
                    self.halted = True  # whoever looks at the daemon will fail this case with the others
                    return
                active.run.peer_answered(request.number, answer, begun)
        if active.run.slowest > active.slowest:
            active.slowest = active.run.slowest
            self._pace.answered(active.slowest, now)
        if active.run.result is not None:
            self._end(active, active.run.result)
        elif len(active.seen) > DATAGRAM_CAP:
            self._give_up(active, Verdict.INCONCLUSIVE, f"more than {DATAGRAM_CAP} datagrams", now)

    def _perform(self, request: PeerRequest) -> int | IpsectestError | None:
        try:
            with self._calling(f"obey the verb {request.verb}"):
                return self.peer.perform(request)
        except (UnsupportedError, PeerError) as error:
            return error

    def _give_up(self, active: _Active, verdict: Verdict, why: str, now: Instant) -> None:
        self._parting += active.run.parting(now)
        result = active.run.stop(verdict, Reason(0, "", "", why), now)
        self._end(active, result)

    def _end(self, active: _Active, result: CaseResult) -> None:
        settings = active.run.settings
        log = ""
        if why := self.peer.crash():  # a fail whatever the script says (design section 7)
            self.halted = True
            if not _named(active, why) and any(_named(other, why) for other in self._active.values()):
                self._postpone(active)
                return
            result = replace(result, verdict=Verdict.FAIL, reason=Reason(0, "", "", f"the peer crashed: {why}"))
            result = replace(result, missing=False)
        try:
            with self._calling("forget a connection"):
                log = self.peer.log(settings)
                self.peer.forget(settings)
        except PeerError as error:
            log += f"\n{error}\n"
        result = self._pace.weighed(result)
        self._release(active)
        self._finished(Finished(active.case, result, settings, log, active.seen))

    def _postpone(self, active: _Active) -> None:
        """Another case brought the peer down, or none: this one begins anew with the next daemon."""
        self._waiting.appendleft(active.case)
        self._release(active)

    def _release(self, active: _Active) -> None:
        del self._active[active.slot]
        for host in active.hosts:
            del self._by_host[host]
        self._free.append(active.slot)
        self._waiting.extendleft(reversed(self._held_back))
        self._held_back.clear()


def _same_traffic(one: PeerSettings, other: PeerSettings) -> bool:
    return bool(one.local_ts) and (one.local_ts, one.remote_ts) == (other.local_ts, other.remote_ts)


def _named(active: _Active, why: str) -> bool:
    """Whether the summary of a daemon's last words speaks of a case; logs name the connection."""
    return re.search(rf"\b{re.escape(active.run.settings.name)}\b", why.split("\n", 1)[0]) is not None


def _internal_error(active: _Active, now: Instant) -> CaseResult:
    lines = traceback.format_exc().strip().splitlines()
    reason = Reason(0, "", "", f"internal error of ipsectest: {lines[-1]}")
    return CaseResult(Verdict.INCONCLUSIVE, reason=reason, notes=lines, started=active.started, finished=now)
