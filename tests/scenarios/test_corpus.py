"""The scenario files as a body: each one lints, and together they cover both roles and all families."""

import re
from collections import Counter
from pathlib import Path

import pytest

from ipsectest.scenario import load
from ipsectest.scenario.lint import lint
from ipsectest.scenario.model import Scenario
from ipsectest.scenario.model import Tests as Role

SCENARIOS = Path(__file__).parents[2] / "scenarios"
FILES = [path for path in load.files([SCENARIOS]) if path.parent.name not in {"expected", "requirements"}]
FAMILIES = ("ike/init", "ike/auth", "ike/child", "ike/rekey", "ike/info", "ike/retransmit", "natt")


@pytest.fixture(scope="module")
def scenarios() -> list[Scenario]:
    """Every scenario, read once."""
    return [load.load(path, SCENARIOS) for path in FILES]


def test_no_file_has_a_lint_finding() -> None:
    findings = lint(FILES, root=SCENARIOS)
    assert not findings, "\n".join(str(finding) for finding in findings)


def test_every_family_has_cases_with_the_peer_in_both_roles(scenarios: list[Scenario]) -> None:
    for family in FAMILIES:
        roles = {s.tests for s in scenarios if s.id.rpartition("/")[0] == family}
        assert Role.EITHER in roles or {Role.INITIATOR, Role.RESPONDER} <= roles, family


def test_a_third_of_the_files_have_the_peer_as_initiator(scenarios: list[Scenario]) -> None:
    roles = Counter(s.tests for s in scenarios)
    assert 3 * (roles[Role.INITIATOR] + roles[Role.EITHER]) >= len(scenarios)


def test_titles_are_single_sentences_and_differ(scenarios: list[Scenario]) -> None:
    titles = [s.title for s in scenarios]
    assert [t for t, n in Counter(titles).items() if n > 1] == []
    assert [t for t in titles if t.endswith(".") or "$" in t] == []


def test_see_names_rows_of_the_merged_catalogue(scenarios: list[Scenario]) -> None:
    odd = [(s.id, name) for s in scenarios for name in s.see if not re.fullmatch(r"[A-Z0-9]+-\d{3}", name)]
    assert odd == []
