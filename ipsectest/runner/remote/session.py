"""Cases against a remote peer: what fits it is played over sockets, the rest is unsupported for a reason."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from ipsectest.base.clock import Instant
from ipsectest.base.errors import UnsupportedError
from ipsectest.net.loop import EventLoop
from ipsectest.net.wire import Direction
from ipsectest.peers.remote.adapter import Abilities, AdaptedPeer
from ipsectest.peers.remote.description import Remote
from ipsectest.peers.remote.fit import fitted
from ipsectest.peers.remote.static import StaticPeer
from ipsectest.runner import expectations, library
from ipsectest.runner.conductor import CaseRun, Conductor, Finished
from ipsectest.runner.filing import File
from ipsectest.runner.live import Post
from ipsectest.runner.pace import acquitted
from ipsectest.runner.recorder import PeerUnderTest, Recorder
from ipsectest.runner.remote.place import place
from ipsectest.runner.remote.stragglers import Sieve, Stragglers
from ipsectest.runner.remote.wire import OpenWire, open_wire
from ipsectest.runner.retries import PATIENT
from ipsectest.runner.seed import stream
from ipsectest.runner.session import INSANE, RUN_CAP, SANITY, SANITY_COOKIE, SANITY_IKE, SANITY_UDP, Session
from ipsectest.scenario.facts import both_ends
from ipsectest.scenario.load import load
from ipsectest.scenario.model import Case
from ipsectest.scenario.ports import Environment
from ipsectest.scenario.results import CaseResult, Reason, Verdict
from ipsectest.scenario.run import Run

_DEAD = 3
"""Cases in a row without any datagram from the peer, after which it is taken for dead: nobody here restarts it."""
_MUTE = "the peer does not answer any more"


def play(session: Session, remote: Remote, cases: Sequence[Case]) -> None:
    """Play cases against a remote peer and hand the results to the recorder of the session."""
    with ExitStack() as stack:
        credentials = session.pki.daemon if session.pki else None
        peer = AdaptedPeer(remote, remote.adapter, credentials) if remote.adapter else StaticPeer(remote)
        stack.callback(peer.close)
        if isinstance(peer, AdaptedPeer):
            remote = _as_greeted(remote, peer.abilities)
        opened = open_wire(remote)
        stack.callback(opened.wire.close)
        loop = stack.enter_context(EventLoop())
        _Play(session, remote, peer, opened, loop).all(cases)


def _as_greeted(remote: Remote, abilities: Abilities) -> Remote:
    """With what the adapter says of its peer, where the file says nothing."""
    lacking = remote.without_children or abilities.without_children
    return replace(remote, raw_esp=remote.raw_esp and abilities.raw_esp, without_children=lacking)


@dataclass(slots=True)
class _Play:
    """One run against one remote peer."""

    session: Session
    remote: Remote
    peer: StaticPeer | AdaptedPeer
    opened: OpenWire
    loop: EventLoop
    sieve: Sieve = field(init=False)
    stragglers: list[Stragglers] = field(init=False)
    under_test: PeerUnderTest = field(init=False)

    def __post_init__(self) -> None:
        remote, seats = self.remote, self.opened.seats
        self.stragglers = [Stragglers(is_asked=remote.adapter is not None) for _ in seats]
        hosts = {
            host: memory
            for seat, memory in zip(seats, self.stragglers, strict=True)
            for host in (seat.address, seat.elsewhere)
        }
        self.sieve = Sieve(self.opened.wire, hosts)
        known = (
            expectations.load_file(remote.expected)
            if remote.expected
            else expectations.load(self.session.folder, remote.name)
        )
        self.under_test = PeerUnderTest(remote.name, self.peer.version, known, word=str(remote.path), ip=remote.ip)

    def all(self, cases: Sequence[Case]) -> None:
        """The sanity case, all others, those that came to nothing once more, and the sanity case."""
        if not self._sane("first"):
            why = f"{INSANE}: ipsectest peers check {self.remote.path} says what is wrong"
            for case in cases:
                self._file().take(self._unplayed(case, Verdict.INCONCLUSIVE, why))
            return
        self._phase(cases)
        self._sane("last")

    def _sane(self, when: str) -> bool:
        scenario = load(library.from_here(self._sanity()))
        name = f"sanity/{when}-{self.remote.name}"
        self.session.recorder.scenarios[name] = scenario
        return self._phase([replace(scenario.cases[0], scenario=name)])

    def _is_alive(self) -> bool:
        """Whether the sanity case passes now; it is not recorded."""
        file = _DiscreetFile(self.under_test, Recorder({}, {}, self.session.seed), lambda _name, _finished: None)
        self._round(load(self._sanity()).cases, file, 2)
        return file.verdicts == [Verdict.PASS]

    def _sanity(self) -> Path:
        if self.remote.facts and self.remote.facts.get("cookies") is True:
            return SANITY_COOKIE
        if self.remote.without_children:
            return SANITY_IKE
        return SANITY if self.opened.raw_esp or self.remote.behind_nat else SANITY_UDP

    def _phase(self, cases: Sequence[Case]) -> bool:
        """Play them; whether all have passed."""
        file = self._file()
        fitting: list[Case] = []
        for case in cases:
            try:
                for slot, seat in enumerate(self.opened.seats, 1):
                    fitted(self.remote, seat, case, self._place(slot))
                fitting.append(case)
            except UnsupportedError as error:
                file.take(self._unplayed(case, Verdict.UNSUPPORTED, str(error)))
        self._round(fitting, file, 1)
        if file.silent >= _DEAD:
            file.give_back()
        elif again := file.retries.begin():
            self._round(again, file, 2)
        if file.doubtful:
            file.settle(alive=self._is_alive())
        return all(verdict is Verdict.PASS for verdict in file.verdicts)

    def _round(self, cases: Sequence[Case], file: "_DiscreetFile", attempt: int) -> None:
        slow = self.session.slow * (PATIENT if attempt > 1 else 1)

        def begin(case: Case, slot: int, now: Instant) -> tuple[CaseRun, tuple[str, ...]]:
            seat = self.opened.seats[slot - 1]
            self.stragglers[slot - 1].next_case()
            label = f"{self.remote.name}/{case.id}" + (f" {attempt}" if attempt > 1 else "")
            here = self._place(slot, slow)
            run = Run(fitted(self.remote, seat, case, here), here, stream(self.session.seed, label), now)
            return run, tuple(host for host in (seat.address, seat.elsewhere) if host)

        conductor = Conductor(self.peer, cases, begin, file.take, self.loop.clock.now, slow=slow)
        file.conductor = conductor
        post = Post(conductor, self.sieve, self._restarted)
        self.loop.add(post)
        at_once = len(self.opened.seats) if attempt == 1 else 1
        post.start(range(1, len(self.opened.seats) + 1), self.loop.clock.now(), at_once)
        why = f"the run was ended after {RUN_CAP:.0f} s"
        try:
            self.loop.run_until(lambda: post.done or file.silent >= _DEAD, RUN_CAP)
            if file.silent >= _DEAD:
                why = _MUTE + (f", since {file.last}" if file.last else "")
        finally:  # interrupted, too: what we have set up at the peer is deleted
            self.loop.remove(post)
            post.abandon(why, self.loop.clock.now())
        file.conductor = None

    def _restarted(self) -> StaticPeer | AdaptedPeer:
        if isinstance(self.peer, AdaptedPeer):
            self.peer.restart()
        return self.peer

    def _file(self) -> "_DiscreetFile":
        return _DiscreetFile(self.under_test, self.session.recorder, self.session.progress)

    def _unplayed(self, case: Case, verdict: Verdict, why: str) -> Finished:
        now = self.loop.clock.now()
        settings = both_ends(case, self._place(1)).peer
        result = CaseResult(verdict, reason=Reason(0, "", "", why), started=now, finished=now)
        return Finished(case, result, settings, "", [])

    def _place(self, slot: int, slow: float = 1.0) -> Environment:
        pki = self.session.pki.tester if self.session.pki else None
        seat = self.opened.seats[slot - 1]
        return place(self.remote, seat, slot, raw_esp=self.opened.raw_esp, slow=slow, pki=pki)


@dataclass(slots=True)
class _DiscreetFile(File):
    """A file that keeps the user's pre-shared key out of the report, and convicts nobody who may be away.

    What failed because nothing came waits until the peer has spoken again.
    """

    silent: int = 0
    """Cases since the peer said anything."""
    last: str = ""
    """The last in which it did."""
    doubtful: list[Finished] = field(default_factory=list)

    def take(self, finished: Finished) -> None:
        """A case has ended."""
        finished = replace(finished, settings=replace(finished.settings, secret=b""))
        if any(direction is Direction.RECEIVED for _, direction, _ in finished.seen):
            self.silent, self.last = 0, finished.case.id
            self.settle(alive=True)
        elif finished.seen:
            self.silent += 1
        if finished.result.missing and finished.result.verdict in {Verdict.FAIL, Verdict.NONSTRICT}:
            self.doubtful.append(finished)
        else:
            File.take(self, finished)

    def settle(self, *, alive: bool) -> None:
        """File what was doubtful: as it is, or as what it may be if the peer is away."""
        waiting, self.doubtful = self.doubtful, []
        for finished in waiting:
            result = finished.result
            File.take(self, replace(finished, result=result if alive else acquitted(result, _MUTE)))

    def give_back(self) -> None:
        """File what waits for a second try: there is nobody to try it with."""
        waiting = list(self.retries.first.values())
        self.retries.first.clear()
        for finished in waiting:
            File.take(self, finished)
