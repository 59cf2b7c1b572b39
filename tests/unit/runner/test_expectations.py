from pathlib import Path

import pytest

from ipsectest.base.errors import InputError
from ipsectest.runner import expectations
from ipsectest.runner.records import Outcome
from ipsectest.scenario.results import Verdict

ENTRY = """
[[expect]]
scenario = "ike/rekey/*"
variant = "our-*"
verdict = "fail"
reason = "keeps both"
issue = "https://example.org/1"
versions = ["5.9.*"]
"""


def _load(tmp_path: Path, text: str) -> expectations.Expectations:
    (tmp_path / "expected").mkdir()
    (tmp_path / "expected" / "charon.toml").write_text(text)
    return expectations.load(tmp_path, "charon")


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (Verdict.FAIL, Outcome.AS_EXPECTED),
        (Verdict.PASS, Outcome.FIXED),
        (Verdict.NONSTRICT, Outcome.REGRESSION),
        (Verdict.INCONCLUSIVE, Outcome.REGRESSION),
        (Verdict.UNSUPPORTED, Outcome.AS_EXPECTED),
    ],
)
def test_a_known_case_has_to_come_out_as_written(tmp_path: Path, verdict: Verdict, outcome: Outcome) -> None:
    known = _load(tmp_path, ENTRY)
    judged = known.judge("ike/rekey/child", "our-lowest", "5.9.8", "charon", verdict)
    assert judged == (outcome, "keeps both (https://example.org/1)")


@pytest.mark.parametrize(
    "case", [("ike/init/a", "our-a", "5.9.8"), ("ike/rekey/a", "b", "5.9.8"), ("ike/rekey/a", "our-a", "6.0.1")]
)
def test_an_entry_speaks_only_of_what_it_names(tmp_path: Path, case: tuple[str, str, str]) -> None:
    assert _load(tmp_path, ENTRY).judge(*case, "charon", Verdict.PASS) == (Outcome.AS_EXPECTED, "")


def test_an_entry_of_another_lab_is_left_out(tmp_path: Path) -> None:
    assert _load(tmp_path, ENTRY + 'labs = ["vm"]\n').entries == []
    assert len(expectations.load(tmp_path, "charon", "vm").entries) == 1


@pytest.mark.parametrize(
    ("verdict", "outcome", "strict_outcome"),
    [
        (Verdict.PASS, Outcome.AS_EXPECTED, Outcome.AS_EXPECTED),
        (Verdict.NONSTRICT, Outcome.AS_EXPECTED, Outcome.REGRESSION),
        (Verdict.FAIL, Outcome.REGRESSION, Outcome.REGRESSION),
        (Verdict.UNSUPPORTED, Outcome.AS_EXPECTED, Outcome.AS_EXPECTED),
        (Verdict.INCONCLUSIVE, Outcome.REGRESSION, Outcome.REGRESSION),
    ],
)
def test_an_unknown_case_has_to_pass(verdict: Verdict, outcome: Outcome, strict_outcome: Outcome) -> None:
    nothing = expectations.Expectations()
    assert nothing.judge("a", "", "1", "p", verdict)[0] is outcome
    assert nothing.judge("a", "", "1", "p", verdict, strict=True)[0] is strict_outcome


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("x = [", r"toml:1:1: Invalid value"),
        ("x = 1", "tables only"),
        ("expect = 1", "tables only"),
        ("expect = [1]", "is no table"),
        ('[[expect]]\nscenario = "a"\nverdict = "failed"\nreason = "b"', "'failed' is none of"),
        ('[[expect]]\nscenario = "a"\nverdict = "fail"', "needs reason"),
        ('[[expect]]\nscenario = "a"\nverdict = "fail"\nreason = "b"\nversion = "1"', "unknown key 'version'"),
        ('[[expect]]\nscenario = "a"\nverdict = "fail"\nreason = "b"\nversions = "1"', "list of strings"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        _load(tmp_path, text)


def test_no_file_means_nothing_is_known(tmp_path: Path) -> None:
    assert expectations.load(tmp_path, "charon").entries == ()
