from pathlib import Path

import pytest

from ipsectest.scenario.load import load
from ipsectest.scenario.steps import AwaitAllStep, AwaitStep, SendStep, Step, resolve
from tests.unit.scenario.conftest import written


def steps(folder: Path, script: str, **how: str) -> list[Step]:
    return resolve(load(written(folder, script, **how)).cases[0]).steps


def told(step: Step) -> tuple[str, bool, str]:
    """(direction, response?, key of the request it answers)."""
    if isinstance(step, SendStep):
        return "->", step.response, step.answers
    assert isinstance(step, AwaitStep)
    return "<-", step.options[0].response, step.options[0].answers


def test_an_answer_goes_to_the_open_request(tmp_path: Path) -> None:
    found = steps(tmp_path, "-> INFORMATIONAL as one\n<- INFORMATIONAL\n<- INFORMATIONAL as two\n-> INFORMATIONAL")
    assert [told(s) for s in found] == [("->", False, ""), ("<-", True, "one"), ("<-", False, ""), ("->", True, "two")]


def test_a_request_that_silence_follows_is_not_answered_later(tmp_path: Path) -> None:
    found = steps(tmp_path, "-> INFORMATIONAL as one\n<- nothing for 1s\n-> INFORMATIONAL as two\n<- INFORMATIONAL")
    assert told(found[3]) == ("<-", True, "two")
    assert [s.answered for s in found if isinstance(s, SendStep)] == [False, True]


def test_ni_makes_a_request_where_an_answer_is_due_too(tmp_path: Path) -> None:
    script = (
        "<- CREATE_CHILD_SA SA Ni ... as theirs\n-> CREATE_CHILD_SA ... Ni(00 x32) as ours\n-> CREATE_CHILD_SA ... Nr"
    )
    assert [told(s) for s in steps(tmp_path, script)] == [("<-", False, ""), ("->", False, ""), ("->", True, "theirs")]


def test_a_request_answered_by_name_is_not_answered_by_chance(tmp_path: Path) -> None:
    script = (
        "<- INFORMATIONAL D(esp net) as theirs\n-> INFORMATIONAL D(esp net) as ours\n-> INFORMATIONAL answers theirs"
    )
    assert [told(s) for s in steps(tmp_path, script)] == [("<-", False, ""), ("->", False, ""), ("->", True, "theirs")]


def test_lines_in_any_order_answer_their_own_requests(tmp_path: Path) -> None:
    script = "-> INFORMATIONAL as a\nin any order:\n  <- INFORMATIONAL D(esp net) request\n  <- INFORMATIONAL answers a"
    block = steps(tmp_path, script)[1]
    assert isinstance(block, AwaitAllStep)
    assert [told(s) for s in block.awaits] == [("<-", False, ""), ("<-", True, "a")]


@pytest.mark.parametrize(("tests", "first", "awaited"), [("responder", "SendStep", 2), ("initiator", "AskStep", 3)])
def test_use_tunnel_is_a_ladder_in_the_role_of_the_case(tmp_path: Path, tests: str, first: str, awaited: int) -> None:
    found = steps(tmp_path, "use tunnel net", tests=tests)
    assert type(found[0]).__name__ == first
    assert sum(isinstance(s, AwaitStep) for s in found) == awaited
    assert isinstance(found[-1], AwaitStep)  # nothing of ours is still on its way


def test_another_ike_sa_has_requests_of_its_own(tmp_path: Path) -> None:
    script = (
        "-> IKE_SA_INIT ... as a\n-> IKE_SA_INIT ... on two as b\n<- IKE_SA_INIT SA ... on two\n<- IKE_SA_INIT SA ..."
    )
    assert [told(s)[2] for s in steps(tmp_path, script)] == ["", "", "b", "a"]
