from dataclasses import replace

from ipsectest.runner.proof import Proof
from ipsectest.scenario.results import CaseResult, Check, Level, Verdict
from tests.unit.runner.runner_fakes import case

NOTE = Check("7296-3.9-01", Level.INFO, 11, met=False, text="<- N", actual="<- IKE_SA_INIT SA KE Nr")
MET = replace(NOTE, met=True, actual="")


def proof(verdict: Verdict, *checks: Check, impairment: str = "", usual: Proof | None = None) -> Proof:
    return Proof(case(), impairment, CaseResult(verdict, checks), usual.unmet if usual else frozenset())


def test_a_healthy_trial_holds_only_with_a_pass() -> None:
    assert proof(Verdict.PASS, NOTE).holds
    assert not proof(Verdict.NONSTRICT, NOTE).holds


def test_an_impaired_trial_holds_with_another_verdict_or_with_a_note_of_its_own() -> None:
    healthy = proof(Verdict.PASS, MET)
    assert proof(Verdict.FAIL, MET, impairment="x", usual=healthy).holds
    assert proof(Verdict.PASS, NOTE, impairment="x", usual=healthy).holds
    assert not proof(Verdict.PASS, MET, impairment="x", usual=healthy).holds


def test_a_note_that_the_healthy_endpoint_earns_too_proves_nothing() -> None:
    healthy = proof(Verdict.PASS, NOTE)
    assert not proof(Verdict.PASS, replace(NOTE, actual="nothing came"), impairment="x", usual=healthy).holds
