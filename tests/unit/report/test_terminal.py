import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ipsectest.report import markdown, terminal
from ipsectest.report.marks import MARKS
from ipsectest.runner.records import CaseRecord, Outcome, RunRecord, exit_code
from ipsectest.scenario.results import Verdict


class _Ascii(io.StringIO):
    encoding = "ascii"


def _text(record: RunRecord, out: io.StringIO | None = None, **options: object) -> str:
    out = out or io.StringIO()
    terminal.render(record, Console(file=out, width=200, color_system=None), **options)
    return out.getvalue()


def test_every_case_that_did_not_pass_has_a_block(record: RunRecord) -> None:
    text = _text(record, folder=Path("out"))
    for case in record.results:
        if case.verdict in {Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NONSTRICT, Verdict.UNSUPPORTED}:
            block = text[text.index(f" {case.case_id}  {case.verdict} on {case.peer}") :]
            assert case.reason.expected in block
            assert f"{case.reason.file}:{case.reason.line}" in block
            assert f"out/{case.artifacts['pcap']}" in block
            assert case.repro in block


def test_a_broken_line_is_shown_with_its_requirement(record: RunRecord) -> None:
    assert f"MUST 7296-3.4-05: {record.requirements['7296-3.4-05'].text}" in _text(record)


def test_the_last_two_lines_are_counts_and_regressions(record: RunRecord) -> None:
    counts, regressions = _text(record).splitlines()[-2:]
    assert "18 cases" in counts
    assert "12 pass" in counts
    assert regressions.startswith("1 regression, 1 fixed")
    assert regressions.endswith("1 unexpectedly inconclusive")


def test_the_tree_calls_inconclusive_cases_no_regressions(record: RunRecord) -> None:
    case = record.results[0]
    for verdict, word in ((Verdict.INCONCLUSIVE, "unexpected"), (Verdict.FAIL, "regression")):
        changed = replace(case, verdict=verdict, outcome=Outcome.REGRESSION)
        tree = _text(replace(record, results=[changed])).split("\n\n")[0]
        assert tree.rstrip().endswith(word)


def test_marks_stay_ascii_where_the_terminal_does(record: RunRecord) -> None:
    _text(record, _Ascii()).splitlines()[-1].encode("ascii")
    assert MARKS[Verdict.PASS].sign not in _text(record, _Ascii())


def test_escape_sequences_of_a_peer_do_not_reach_the_terminal(record: RunRecord) -> None:
    assert "\x1b" in record.results[4].ladder[0].text or "\x1b" in record.results[5].reason.text
    assert "\x1b" not in _text(record)


def test_of_a_crash_the_summary_is_shown(record: RunRecord) -> None:
    number = next(number for number, case in enumerate(record.results) if case.verdict is Verdict.FAIL)
    failed = record.results[number]
    reason = replace(failed.reason, text="the peer crashed: SIGSEGV\n" + "the end of its log\n" * 100)
    text = _text(replace(record, results=[replace(failed, reason=reason)]))
    assert "the peer crashed: SIGSEGV (more in the report)" in text
    assert "the end of its log" not in text


def test_verbose_names_passed_cases(record: RunRecord) -> None:
    only = replace(record, results=[c for c in record.results if c.verdict is Verdict.PASS][:1])
    name = only.results[0].scenario.rpartition("/")[2]
    assert name in _text(only, verbose=True)
    assert name not in _text(only)


def test_markdown_escapes_and_bounds_its_table(record: RunRecord) -> None:
    troubled = replace(record, results=[c for c in record.results if c.verdict is Verdict.FAIL] * 40)
    text = markdown.render(troubled)
    assert "... and 30 more." in text
    assert "<differs>" not in text
    assert all(line.count("|") >= 6 for line in text.splitlines() if line.startswith("| "))


def _with(record: RunRecord, verdict: Verdict, outcome: Outcome) -> list[CaseRecord]:
    return [record.results[0], replace(record.results[0], verdict=verdict, outcome=outcome)]


@pytest.mark.parametrize(
    ("verdict", "outcome", "code"),
    [
        (Verdict.PASS, Outcome.AS_EXPECTED, 0),
        (Verdict.FAIL, Outcome.AS_EXPECTED, 0),
        (Verdict.FAIL, Outcome.REGRESSION, 1),
        (Verdict.PASS, Outcome.FIXED, 1),
        (Verdict.INCONCLUSIVE, Outcome.REGRESSION, 3),
        (Verdict.INCONCLUSIVE, Outcome.AS_EXPECTED, 0),
    ],
)
def test_exit_codes(record: RunRecord, verdict: Verdict, outcome: Outcome, code: int) -> None:
    assert exit_code(_with(record, verdict, outcome)) == code


def test_a_regression_outweighs_inconclusive(record: RunRecord) -> None:
    results = _with(record, Verdict.INCONCLUSIVE, Outcome.REGRESSION)
    results += _with(record, Verdict.FAIL, Outcome.REGRESSION)
    assert exit_code(results) == 1


def test_a_pass_at_a_second_try_is_not_silent(record: RunRecord) -> None:
    (only,) = [c for c in record.results if c.verdict is Verdict.PASS and not c.ends][:1]
    name = only.scenario.rpartition("/")[2]
    once, again = (replace(record, results=[replace(only, attempt=attempt)]) for attempt in (1, 2))
    assert name not in _text(once)
    assert any(name in line and line.endswith("second try") for line in _text(again).splitlines())
    for text in (_text(again), markdown.render(again)):
        assert "1 of them at a second try" in text or "1 at a second try" in text
    assert "second try" not in _text(once) + markdown.render(once)
