"""Verbs: what the peer is asked to do, and the counters it is asked for."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ipsectest.base.clock import Instant
from ipsectest.base.errors import IpsectestError, PeerError, UnsupportedError
from ipsectest.scenario.account import Account
from ipsectest.scenario.listener import PATIENCE, Progress
from ipsectest.scenario.model import Line, Number, Offset, PeerVerb, Spot
from ipsectest.scenario.ports import Counter, PeerRequest, PeerSettings, Verb
from ipsectest.scenario.results import Verdict
from ipsectest.scenario.session import Session
from ipsectest.scenario.steps import AskStep

POLL = 0.05
"""Seconds until the peer is asked again, while it may be behind."""


@dataclass(eq=False, slots=True)
class Asking:
    """One verb at a time: handed out, answered, perhaps asked again."""

    session: Session
    account: Account
    settings: PeerSettings
    slow: float
    requests: list[PeerRequest] = field(default_factory=list)
    """Not handed out yet."""
    wake: Instant | None = None
    """When to ask again."""
    _count: int = 0
    _open: int | None = None
    _counters: dict[Counter, int] = field(default_factory=dict)

    def ask(self, step: AskStep, now: Instant) -> None:
        """Put the verb before the peer, unless it has it already or it is too early to repeat it."""
        if self._open is not None or (self.wake is not None and now < self.wake):
            return
        if step.verb.counter is None and self.wake is None:
            self.account.event(now, "--", step.text, line=step.line)
        self._count += 1
        self._open, self.wake = self._count, None
        self.requests.append(self._request(step, self._count))

    def _request(self, step: AskStep, number: int) -> PeerRequest:
        verb, spi = step.verb, b""
        if verb.verb in {Verb.REKEY_CHILD, Verb.DELETE_CHILD, Verb.PING}:
            spi = self.session.child_spi(verb.child, "theirs", by_us=False)
        known = self.session.associations.get(step.sa)
        ike_spi = known.sa.spi_remote if known is not None and verb.verb is not Verb.INITIATE else b""
        if verb.verb is Verb.CREATE:
            self.session.next_child = verb.child
        packet = self.session.traffic.for_peer(verb.packet, self.session.values(by_us=False)) if verb.packet else None
        return PeerRequest(number, verb.verb, self.settings, verb.child, spi, ike_spi, verb.counter, packet)

    def answered(
        self, step: AskStep, number: int, answer: int | IpsectestError | None, entered: Instant, now: Instant
    ) -> Progress:
        """What the verb came to."""
        if number != self._open:
            return Progress.WAIT
        self._open = None
        patient = now < entered + PATIENCE * self.slow
        if isinstance(answer, PeerError) and patient and step.verb.verb is not Verb.INITIATE:
            self.wake = now + POLL  # it may not have read our last message yet
            return Progress.WAIT
        if isinstance(answer, IpsectestError):
            verdict = Verdict.UNSUPPORTED if isinstance(answer, UnsupportedError) else Verdict.INCONCLUSIVE
            self.account.give_up(verdict, step.line, step.text, str(answer), "the peer cannot do that")
            return Progress.END
        if step.verb.counter is None:
            return Progress.DONE
        if answer is None:
            self.account.give_up(Verdict.INCONCLUSIVE, step.line, step.text, "no number", "the peer has to answer that")
            return Progress.END
        return self._counted(step, step.verb.counter, answer, now, patient=patient)

    def _counted(self, step: AskStep, counter: Counter, value: int, now: Instant, *, patient: bool) -> Progress:
        """Compare a counter; it may lag, so it is looked at again until patience is over."""
        expected, before = step.verb.expected, self._counters.get(counter, 0)
        if expected is None:
            self._counters[counter] = value
            return Progress.DONE
        wanted = before + expected.delta if isinstance(expected, Offset) else 0
        wanted = expected.value if isinstance(expected, Number) else wanted
        if value != wanted and patient:
            self.wake = now + POLL
            return Progress.WAIT
        self._counters[counter] = value
        self.account.silence = None
        actual = "" if value == wanted else f"{counter} is {value}, it was {before}"
        self.account.event(now, "--", step.text, line=step.line, met=not actual, tag=step.verb.tag)
        going = self.account.judge_line(step.verb.tag, step.line, step.text, actual, missing=True)
        return Progress.DONE if going else Progress.END


def baselines(lines: Iterable[Line]) -> list[AskStep]:
    """A first look at every counter that a line wants to have grown."""
    asked = (line for line in lines if isinstance(line, PeerVerb) and isinstance(line.expected, Offset))
    steps = []
    for counter in dict.fromkeys(line.counter for line in asked):
        verb = PeerVerb(Verb.COUNTER, "", "", counter, None, None, Spot(), "")
        steps.append(AskStep(verb, "", 0, f"peer counter {counter}"))
    return steps
