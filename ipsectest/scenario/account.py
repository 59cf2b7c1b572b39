"""What a running case has come to so far: ladder, checks, verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ipsectest.base.clock import Instant
from ipsectest.scenario.model import Tag
from ipsectest.scenario.requirements import Requirement
from ipsectest.scenario.results import CaseResult, Check, Reason, Rung, Verdict
from ipsectest.scenario.steps import AskStep, AwaitAllStep, AwaitStep, Step
from ipsectest.wire import Message, describe

_WEIGHT = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.NONSTRICT, Verdict.FAIL)
"""What an unmet line can come to, and what it overrides."""


@dataclass(slots=True)
class _Event:
    """A rung whose message is described only for the result."""

    at: Instant
    direction: str
    text: str
    line: int = 0
    met: bool | None = None
    requirement: str = ""
    octets: int = 0
    message: Message | None = None


@dataclass(slots=True)
class Account:
    """Collects; ``judge_line`` says whether the case goes on."""

    catalogue: Mapping[str, Requirement]
    started: Instant
    events: list[_Event] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    verdict: Verdict = Verdict.PASS
    reason: Reason | None = None
    missing: bool = False
    """Whether the verdict rests on something that did not come in time."""
    silence: tuple[int, str] | None = None
    """The first silence (line and text) since the peer was last seen alive."""

    def event(
        self,
        at: Instant,
        direction: str,
        text: str,
        *,
        line: int = 0,
        met: bool | None = None,
        tag: Tag | None = None,
        octets: int = 0,
        message: Message | None = None,
    ) -> None:
        """Add a rung to the ladder."""
        requirement = ", ".join(tag.requirements) if tag else ""
        self.events.append(_Event(at, direction, text, line, met, requirement, octets, message))

    def judge_line(self, tag: Tag | None, line: int, text: str, actual: str, *, missing: bool = False) -> bool:
        """Enter a line that was met (``actual`` empty) or not; whether the script can go on.

        ``missing``: it was not met because the time was over.
        """
        if tag is not None:
            for name in tag.requirements:
                self.checks.append(Check(name, tag.level, line, not actual, text, actual))
        if not actual:
            return True
        if tag is None:
            self.give_up(Verdict.INCONCLUSIVE, line, text, actual, "the precondition was not reached")
            return False
        return self._unmet(tag, line, text, actual, missing=missing)

    def revoke(self, line: int) -> None:
        """Take back what was said of a line."""
        self.checks = [check for check in self.checks if check.line != line]

    def _unmet(self, tag: Tag, line: int, text: str, actual: str, *, missing: bool) -> bool:
        contested = {n: self.catalogue[n].contested for n in tag.requirements if n in self.catalogue}
        verdict = tag.level.verdict_if_unmet
        if contested and all(contested.values()) and len(contested) == len(tag.requirements):
            for name, why in contested.items():
                self.notes.append(f"{name} is contested ({why}), so this is a note: {actual}")
            verdict = Verdict.PASS
        elif verdict is Verdict.PASS:
            self.notes.append(f"[{tag.level} {', '.join(tag.requirements)}] {text}: {actual}")
        if _WEIGHT.index(verdict) > _WEIGHT.index(self.verdict):
            self.verdict, self.missing = verdict, missing
            self.reason = Reason(line, text, actual, self._requirement_text(tag))
        return verdict is not Verdict.FAIL

    def _requirement_text(self, tag: Tag) -> str:
        texts = [self.catalogue[n].text for n in tag.requirements if n in self.catalogue]
        return texts[0] if texts else ""

    def give_up(self, verdict: Verdict, line: int, text: str, actual: str, why: str) -> None:
        """The case cannot go on, without anybody convicted; what an earlier line came to stays."""
        if self.verdict in {Verdict.FAIL, Verdict.NONSTRICT}:
            where = f"line {line}: {text}: {actual}" if line else why
            self.notes.append(f"{where}; the case ends here")
            return
        self.verdict = verdict
        self.reason = Reason(line, text, actual, why)

    def stop(self, verdict: Verdict, reason: Reason) -> None:
        """The runner ends the case; only a crash of the peer says more than what was found already."""
        if verdict is Verdict.FAIL:
            self.verdict, self.reason, self.missing = verdict, reason, False
        else:
            self.give_up(verdict, reason.line, reason.expected, reason.actual, reason.text)

    def result(self, steps: list[Step], finished: Instant, keys: Mapping[str, str]) -> CaseResult:
        """The outcome; tagged lines that were never reached become checks without an answer, which is no pass."""
        judged = {(check.requirement, check.line, check.level) for check in self.checks}
        checks = list(self.checks)
        for tag, line, text in _tagged(steps):
            checks += [
                Check(n, tag.level, line, None, text) for n in tag.requirements if (n, line, tag.level) not in judged
            ]
        checks.sort(key=lambda check: check.line)
        unseen = [check for check in checks if check.met is None]
        if self.silence and self.verdict is Verdict.PASS:
            why = "silence is no proof of life"
            self.give_up(Verdict.INCONCLUSIVE, *self.silence, "nothing after it showed that the peer is alive", why)
        if unseen and self.verdict is Verdict.PASS:
            first = unseen[0]
            self.give_up(
                Verdict.INCONCLUSIVE, first.line, first.text, "it was never looked at", "a tagged line is open"
            )
        rungs = [
            Rung(e.at, e.direction, e.text, e.line, e.met, e.requirement, e.octets, _details(e.message))
            for e in self.events
        ]
        return CaseResult(
            self.verdict,
            tuple(checks),
            self.reason,
            tuple(rungs),
            tuple(self.notes),
            self.started,
            finished,
            keys,
            self.missing and self.verdict in {Verdict.FAIL, Verdict.NONSTRICT},
        )


def _details(message: Message | None) -> tuple[tuple[int, str], ...]:
    return tuple((line.depth, line.text) for line in describe(message)) if message is not None else ()


def _tagged(steps: list[Step]) -> list[tuple[Tag, int, str]]:
    found: list[tuple[Tag, int, str]] = []
    for step in steps:
        if isinstance(step, AskStep) and step.verb.tag:
            found.append((step.verb.tag, step.line, step.text))
        awaits = (step,) if isinstance(step, AwaitStep) else step.awaits if isinstance(step, AwaitAllStep) else ()
        for one in awaits:
            if one.tag:
                found.append((one.tag, one.line, one.text))
            found += [(c.tag, c.spot.line, c.text) for c in one.conditions if c.tag]
    return found
