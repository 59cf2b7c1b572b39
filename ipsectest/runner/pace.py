"""How fast peer and machine are while cases run: a conviction by silence wants a peer that answers in good time."""

from dataclasses import replace

from ipsectest.base.clock import Instant
from ipsectest.scenario.listener import PATIENCE
from ipsectest.scenario.results import CaseResult, Reason, Verdict

SLUGGISH = 0.5
"""Part of the patience that an answer may take before silence proves nothing."""


class Pace:
    """Remembers the last sign of slowness of one peer."""

    def __init__(self, slow: float = 1.0) -> None:
        """``slow``: factor on the patience of the cases."""
        self._limit = SLUGGISH * PATIENCE * slow
        self._at: Instant | None = None
        self._sign = ""

    def answered(self, part: float, now: Instant) -> None:
        """The slowest answer of a case by now took so much of the patience with it."""
        if part > SLUGGISH:
            took = self._limit * part / SLUGGISH
            self._at, self._sign = now, f"an answer took {took:.1f} s"

    def called(self, what: str, seconds: float, now: Instant) -> None:
        """A call of the daemon took so long, which shows how slow it is in the smallest things."""
        if seconds > self._limit:
            self._at, self._sign = now, f"to {what} took the peer {seconds:.1f} s"

    def weighed(self, result: CaseResult) -> CaseResult:
        """The result; inconclusive instead of a conviction by silence in a time in which the peer was slow."""
        if not result.missing or result.reason is None or self._at is None or self._at < result.started:
            return result
        return acquitted(result, f"too slow a peer or machine: {self._sign}")


def acquitted(result: CaseResult, why: str) -> CaseResult:
    """Inconclusive instead of a conviction by silence."""
    reason = result.reason or Reason(0, "", "", "")
    checks = [replace(c, met=None) if c.met is False and c.line == reason.line else c for c in result.checks]
    told = Reason(reason.line, reason.expected, reason.actual, why)
    return replace(result, verdict=Verdict.INCONCLUSIVE, reason=told, checks=checks, missing=False)
