"""A Markdown summary for the step summary of a CI job or a pull request comment."""

from ipsectest.report.junit import message
from ipsectest.report.marks import MARKS
from ipsectest.runner.records import CaseRecord, Outcome, RunRecord, count, second_tries, surprises
from ipsectest.scenario.results import Verdict

_LISTED = 50


def render(record: RunRecord) -> str:
    """Counts per peer, then a table of what did not pass (at most 50 rows; the report has the rest)."""
    lines = ["## ipsectest", ""]
    lines.append("| peer | " + " | ".join(f"{MARKS[v].sign} {v}" for v in Verdict) + " |")
    lines.append("|---|" + "--:|" * len(Verdict))
    for name in sorted(record.peers):
        totals = count(c for c in record.results if c.peer == name)
        if not any(totals.values()):  # an end of the pairs of an interop run
            continue
        lines.append(f"| {_cell(name)} | " + " | ".join(str(n or "") for n in totals.values()) + " |")
    troubled = [c for c in record.results if c.verdict is not Verdict.PASS or c.outcome is not Outcome.AS_EXPECTED]
    if troubled:
        lines += ["", "| | case | peer | outcome | what happened |", "|---|---|---|---|---|"]
        lines += [_row(case) for case in troubled[:_LISTED]]
        if len(troubled) > _LISTED:
            lines += ["", f"... and {len(troubled) - _LISTED} more."]
    regressions, fixed, inconclusive = surprises(record.results)
    lines += ["", f"**{regressions} regressions, {fixed} fixed, {inconclusive} unexpectedly inconclusive** "]
    lines[-1] += f"in {len(record.results)} cases, {record.run.duration_s:.1f} s"
    again = second_tries(record.results)
    lines[-1] += f"; {again} of them at a second try." if again else "."
    return "\n".join(lines) + "\n"


def _row(case: CaseRecord) -> str:
    cells = (MARKS[case.verdict].sign, f"`{case.case_id}`", case.peer, case.outcome.value, message(case))
    return "| " + " | ".join(_cell(c) for c in cells) + " |"


def _cell(text: str) -> str:
    """Keep a value inside its cell and out of the markup."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
