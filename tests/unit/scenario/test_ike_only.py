"""Scripts against a peer without Child SAs: IKE goes on, what needs a Child SA is unsupported."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from ipsectest.base.clock import Instant
from ipsectest.base.errors import UnsupportedError
from ipsectest.peers.builtin import Builtin
from ipsectest.runner import slots, virtual
from ipsectest.runner.conductor import Conductor, Finished
from ipsectest.scenario.ike_only import NOTE, ike_only
from ipsectest.scenario.load import load
from ipsectest.scenario.model import Case
from ipsectest.scenario.results import CaseResult, Verdict
from ipsectest.scenario.run import Run
from ipsectest.scenario.steps import Step, resolve
from tests.unit.scenario.conftest import written

WHY = "its kernel has no ESP"
INIT = "-> IKE_SA_INIT ...\n<- IKE_SA_INIT SA KE Nr ...\n-> IKE_AUTH ...\n"


def rewritten(folder: Path, script: str, tests: str = "responder") -> list[Step]:
    return ike_only(resolve(load(written(folder, script, tests=tests)).cases[0]).steps, WHY)


def play(case: Case) -> CaseResult:
    """The peer takes no Child SA of ours: it is set up for another suite."""
    ended: list[Finished] = []
    peer = Builtin(random.Random(1).randbytes)

    def begin(case: Case, slot: int, now: Instant) -> tuple[Run, tuple[str, ...]]:
        place = replace(slots.environment(slot), without_children=WHY)
        return Run(case, place, random.Random(2).randbytes, now), slots.hosts(place)

    virtual.play(Conductor(peer, [case], begin, ended.append), peer)
    return ended[0].result


@pytest.mark.parametrize("tests", ["responder", "initiator"])
def test_the_ike_sa_lives_without_a_child(tmp_path: Path, tests: str) -> None:
    facts = 'peer.esp = "aes256-sha256-noesn"\ntester.esp = "aes128gcm16-noesn"'
    script = "use tunnel net\n-> INFORMATIONAL ...\n<- INFORMATIONAL [MUST 7296-1.4-01]"
    result = play(load(written(tmp_path, script, tests=tests, facts=facts)).cases[0])
    assert result.verdict is Verdict.PASS, result.reason
    assert NOTE in result.notes
    assert any("NO_PROPOSAL_CHOSEN" in rung.text for rung in result.ladder)


def test_a_case_that_needs_a_child_is_unsupported_and_says_why(tmp_path: Path) -> None:
    result = play(load(written(tmp_path, "use tunnel net\nping net")).cases[0])
    assert result.verdict is Verdict.UNSUPPORTED
    assert result.reason
    assert WHY in result.reason.text
    assert "ESP(net) ping" in result.reason.text
    assert not result.ladder


@pytest.mark.parametrize(
    "script",
    [
        INIT + "<- IKE_AUTH IDr AUTH SA TSi TSr ...\n   and SA(aes128gcm16)",
        INIT + "<- IKE_AUTH IDr AUTH SA TSi TSr ...\n-> CREATE_CHILD_SA ...\n<- CREATE_CHILD_SA SA Nr TSi TSr ...",
        "use tunnel net\n-> CREATE_CHILD_SA ... N(REKEY_SA spi=net)\n<- CREATE_CHILD_SA N ...",
        "use tunnel net\n-> INFORMATIONAL D(esp net)\n<- INFORMATIONAL ...",
        "use tunnel net\npeer rekey net\n<- CREATE_CHILD_SA SA Ni ...",
        "use tunnel net\npeer counter child-sas 1",
        "use tunnel net\nin any order:\n    <- ESP(net) ping\n    <- INFORMATIONAL",
    ],
)
def test_what_needs_a_child(tmp_path: Path, script: str) -> None:
    with pytest.raises(UnsupportedError, match=WHY):
        rewritten(tmp_path, script)


@pytest.mark.parametrize(
    "script",
    [
        INIT + "<- IKE_AUTH IDr AUTH -SA -TSi -TSr ...",
        INIT + "<- IKE_AUTH IDr AUTH SA TSi TSr ...\n   and AUTH(psk)",
        "use tunnel net\n-> CREATE_CHILD_SA ... SA(ike) as new\n<- CREATE_CHILD_SA SA Nr KE ...",
        "use tunnel net\npeer rekey ike\n<- CREATE_CHILD_SA SA Ni KE ... as new\n-> CREATE_CHILD_SA ... answers new",
        "use tunnel net\npeer delete ike\n<- INFORMATIONAL D(ike) as closing\n-> INFORMATIONAL answers closing",
        "use tunnel net\npeer counter ike-sas 1",
    ],
)
def test_what_does_not(tmp_path: Path, script: str) -> None:
    assert rewritten(tmp_path, script)
