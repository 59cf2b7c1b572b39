"""Prove that scenarios can fail: healthy, the built-in endpoint passes; with each named impairment it must not."""

from collections.abc import Iterable
from dataclasses import dataclass

from ipsectest.runner.session import Session
from ipsectest.scenario.model import Case
from ipsectest.scenario.results import CaseResult, Verdict


@dataclass(frozen=True, slots=True)
class Proof:
    """One trial of a case; `impairment` is empty for the healthy endpoint."""

    case: Case
    impairment: str
    result: CaseResult

    @property
    def holds(self) -> bool:
        """Healthy: pass. Impaired: anything else."""
        return (self.result.verdict is Verdict.PASS) is not bool(self.impairment)


def prove(session: Session, cases: Iterable[Case]) -> list[Proof]:
    """Try every case healthy and with each of its impairments."""
    return [
        Proof(case, impairment, session.play_alone(case, (impairment,) if impairment else ()).result)
        for case in cases
        for impairment in ("", *case.proof)
    ]
