"""Prove that scenarios can fail: healthy, the built-in endpoint passes; with each named impairment it must not.

A case whose lines are all notes (MAY, INFO) passes in any event; there the impairment has to bring up a note that the
healthy endpoint does not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ipsectest.runner.session import Session
from ipsectest.scenario.model import Case
from ipsectest.scenario.results import CaseResult, Check, Verdict


@dataclass(frozen=True, slots=True)
class Proof:
    """One trial of a case; `impairment` is empty for the healthy endpoint."""

    case: Case
    impairment: str
    result: CaseResult
    usual: frozenset[Check] = frozenset()
    """Tagged lines that the healthy endpoint leaves unmet too."""

    @property
    def holds(self) -> bool:
        """Healthy: pass. Impaired: another verdict, or a pass with a note that the healthy endpoint does not earn."""
        if not self.impairment:
            return self.result.verdict is Verdict.PASS
        return self.result.verdict is not Verdict.PASS or bool(self.unmet - self.usual)

    @property
    def unmet(self) -> frozenset[Check]:
        """Tagged lines that were looked at and not met, without what came instead."""
        return frozenset(replace(check, actual="") for check in self.result.checks if check.met is False)


def prove(session: Session, cases: Iterable[Case]) -> list[Proof]:
    """Try every case healthy and with each of its impairments."""
    trials: list[Proof] = []
    for case in cases:
        healthy = Proof(case, "", session.play_alone(case, ()).result)
        trials.append(healthy)
        trials += [
            Proof(case, impairment, session.play_alone(case, (impairment,)).result, healthy.unmet)
            for impairment in case.proof
        ]
    return trials
