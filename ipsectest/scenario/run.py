"""The step engine: one case against one peer, without sockets and without a clock.

run = Run(case, environment, random, now)
configure the peer with run.settings, then run.handle_timer(now) starts the script
run.receive(datagram, now)   run.datagrams_to_send(now)   run.get_timer()   run.handle_timer(now)
run.peer_requests() -> run.peer_answered(number, answer, now)     run.result
"""

from collections.abc import Sequence

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant, RandomBytes
from ipsectest.base.errors import IpsectestError, UnsupportedError
from ipsectest.scenario import keytables, requirements
from ipsectest.scenario.account import Account
from ipsectest.scenario.asking import Asking, baselines
from ipsectest.scenario.closing import Closing
from ipsectest.scenario.composer import Composer
from ipsectest.scenario.facts import both_ends
from ipsectest.scenario.ike_only import NOTE as IKE_ONLY
from ipsectest.scenario.ike_only import ike_only
from ipsectest.scenario.listener import Listener, Progress
from ipsectest.scenario.model import Case, DataPattern
from ipsectest.scenario.ports import Environment, PeerRequest
from ipsectest.scenario.results import CaseResult, Reason, Verdict
from ipsectest.scenario.sender import Sender
from ipsectest.scenario.session import Session
from ipsectest.scenario.steps import AskStep, AwaitAllStep, AwaitStep, PauseStep, RepeatStep, SendStep, Step, resolve
from ipsectest.scenario.tester import endpoint_config
from ipsectest.scenario.traffic import Traffic

STALL = 0.25
"""Seconds that we may come late before what we wait for gets its whole time again."""


class Run:
    """Interprets the steps of a case."""

    def __init__(self, case: Case, environment: Environment, random: RandomBytes, now: Instant) -> None:
        ends = both_ends(case, environment)
        self.case = case
        self.settings = ends.peer
        self.result: CaseResult | None = None
        self._place = environment
        self._account = Account(requirements.load(), now)
        self._steps: list[Step] = [*baselines(case.lines), *resolve(case).steps]
        self._at = 0
        self._entered: Instant | None = None
        self._timer: Instant | None = now
        self._now = now
        self._closing: Closing | None = None
        self._unsupported = ""
        try:
            if environment.without_children:
                self._steps = ike_only(self._steps, environment.without_children)
                self._account.notes.append(IKE_ONLY)
            config = endpoint_config(ends, environment)
        except UnsupportedError as error:
            self._unsupported = str(error)
            return
        self._session = Session(environment, random, ends, config, Traffic(environment, random))
        self._composer = Composer(self._session)
        self._sender = Sender(self._session, self._composer, self._account)
        self._listener = Listener(self._session, self._composer, self._account, environment.slow)
        self._asking = Asking(self._session, self._account, self.settings, environment.slow)

    # The outside ----------------------------------------------------------------------------------------------------

    def receive(self, datagram: Datagram, now: Instant) -> None:
        """Take a datagram of the peer."""
        if self.result is None and not self._unsupported:
            self._forgive(now)
            self._listener.receive(datagram, now)
            self._advance(now, reading=True)

    def datagrams_to_send(self, now: Instant) -> list[Datagram]:
        """What goes on the wire now."""
        if self._unsupported:
            return []
        outgoing, self._session.outbox = self._session.outbox, []
        if outgoing and self._entered is not None and self._timer is not None:
            delay = max(0.0, now - self._now)  # the time of an answer or a silence begins when the message leaves
            self._entered, self._timer = self._entered + delay, self._timer + delay
        self._session.ways.update((datagram.source, datagram.destination) for datagram in outgoing)
        return outgoing

    @property
    def slowest(self) -> float:
        """The longest that an answer of the peer took, as a part of the patience with it."""
        return 0.0 if self._unsupported else self._listener.slowest

    def get_timer(self) -> Instant | None:
        """When `handle_timer` is due."""
        return None if self.result is not None else self._timer

    def handle_timer(self, now: Instant) -> None:
        """Begin, repeat requests, run out of patience."""
        if self._unsupported and self.result is None:
            self.stop(Verdict.UNSUPPORTED, Reason(0, "", "", self._unsupported), now)
        if self.result is None:
            self._forgive(now)
            self._sender.retransmit(self._wanted(), now)
            if self._wants_pong():
                self._sender.ping_again(now)
            self._advance(now)

    def peer_requests(self) -> list[PeerRequest]:
        """Verbs for the peer, each handed out once."""
        if self._unsupported:
            return []
        requests, self._asking.requests = self._asking.requests, []
        return requests

    def peer_answered(self, number: int, answer: int | IpsectestError | None, now: Instant) -> None:
        """What a verb came to: a number for counters, an error, or None."""
        if self.result is not None or self._closing is not None or self._at >= len(self._steps):
            return
        step = self._steps[self._at]
        if isinstance(step, AskStep) and self._entered is not None:
            self._move(self._asking.answered(step, number, answer, self._entered, now), now)
            self._advance(now)

    def stop(self, verdict: Verdict, reason: Reason, now: Instant) -> CaseResult:
        """The runner gives the case up: a result with what there is."""
        if self.result is None:
            self._account.stop(verdict, reason)
            self.result = self._outcome(now)
        return self.result

    def parting(self, now: Instant) -> list[Datagram]:
        """What a shared peer has to be told if the case is given up now: what is up is deleted, unanswered."""
        if self._unsupported or not self._place.shared or self.result is not None:
            return []
        self._session.outbox.clear()
        self._begin_closing(now)
        return self.datagrams_to_send(now)

    def stalled(self, now: Instant) -> None:
        """Nobody read the wire for a while, until now: what is waited for gets its whole time again."""
        waits = self._at < len(self._steps) and isinstance(self._steps[self._at], AwaitStep | AwaitAllStep)
        if self.result is None and self._closing is None and waits and self._entered is not None:
            self._entered = now
            self._listener.forgive(now)

    def _forgive(self, now: Instant) -> None:
        """A machine too busy to wake us in time says nothing about the peer, which runs on the same one."""
        if self._entered is not None and self._timer is not None and now > self._timer + STALL:
            self._entered = now
            self._listener.forgive(now)

    # Walking through the steps --------------------------------------------------------------------------------------

    def _advance(self, now: Instant, *, reading: bool = False) -> None:
        """Go on until something has to be waited for. ``reading``: the wire may hold more."""
        self._now = now
        while self.result is None:
            if self._closing is not None:
                self._close(self._closing, now)
                return
            if self._at >= len(self._steps):
                self._begin_closing(now)
                continue
            step = self._steps[self._at]
            progress = self._attempt(step, now, reading=reading)
            if progress is Progress.WAIT:
                self._set_timer(step)
                return
            self._move(progress, now)

    def _move(self, progress: Progress, now: Instant) -> None:
        if progress is Progress.END:
            self._begin_closing(now)
        elif progress is Progress.DONE:
            self._at += 1
            self._entered = None
            self._asking.wake = None

    def _attempt(self, step: Step, now: Instant, *, reading: bool) -> Progress:
        """Do a step; what cannot be done ends the case without convicting."""
        try:
            return self._do(step, now, reading=reading)
        except UnsupportedError as error:
            self._account.give_up(Verdict.UNSUPPORTED, step.line, step.text, str(error), "not possible here")
        except (LookupError, ValueError) as error:
            why = str(error.args[0]) if error.args else type(error).__name__
            self._account.give_up(Verdict.INCONCLUSIVE, step.line, step.text, why, "the line cannot be carried out")
        return Progress.END

    def _do(self, step: Step, now: Instant, *, reading: bool) -> Progress:
        is_new = self._entered is None
        if self._entered is None:
            self._entered = now
            self._listener.expect((), self._steps[self._at + 1 :])
        match step:
            case SendStep():
                self._sender.send(step, now)
            case RepeatStep():
                self._sender.repeat(step, now)
            case AwaitStep() | AwaitAllStep():
                if is_new:
                    awaits = (step,) if isinstance(step, AwaitStep) else step.awaits
                    self._listener.expect(awaits, self._steps[self._at + 1 :])
                return self._listener.listen(self._entered, now, reading=reading)
            case AskStep():
                self._listener.background(now)
                self._asking.ask(step, now)
                return Progress.WAIT
            case PauseStep(seconds):
                self._listener.background(now)
                return Progress.DONE if now >= self._entered + seconds - 1e-9 else Progress.WAIT
        return Progress.DONE

    def _set_timer(self, step: Step) -> None:
        times: Sequence[Instant | None]
        if isinstance(step, PauseStep) and self._entered is not None:
            times = [self._entered + step.seconds]
        elif isinstance(step, AskStep):
            times = [self._asking.wake]
        else:
            times = [self._listener.wake, self._sender.timer(pong=self._wants_pong())]
        self._timer = min((t for t in times if t is not None), default=None)

    def _wanted(self) -> set[str]:
        """Keys of our requests whose answers are waited for."""
        if self._closing is not None:
            return {exchange.key for exchange in self._closing.exchanges}
        return {option.answers for step in self._listener.left for option in step.options}

    def _wants_pong(self) -> bool:
        options = (option.what for step in self._listener.left for option in step.options)
        return any(isinstance(what, DataPattern) and what.content == "pong" for what in options)

    # The end --------------------------------------------------------------------------------------------------------

    def _begin_closing(self, now: Instant) -> None:
        if self._closing is not None:
            return
        self._listener.expect((), ())
        self._entered = now
        self._account.event(now, "--", "end of the script")
        self._closing = Closing(self._session, self._composer, now)

    def _close(self, closing: Closing, now: Instant) -> None:
        self._listener.background(now)
        closing.go_on(now)
        if closing.is_over(now):
            self.result = self._outcome(now)
        self._timer = min(t for t in (closing.deadline, self._sender.timer()) if t is not None)

    def _outcome(self, now: Instant) -> CaseResult:
        keys = {} if self._unsupported else keytables.tables(self._session)
        return self._account.result(self._steps, now, keys)
