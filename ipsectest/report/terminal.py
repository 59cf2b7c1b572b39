"""The console report: a tree of families, a block for each case that did not pass, two lines to end with."""

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from ipsectest.report import interop
from ipsectest.report.marks import MARKS
from ipsectest.runner.records import CaseRecord, Outcome, RunRecord, count, second_tries, surprises
from ipsectest.scenario.results import Verdict

_WORTH_A_BLOCK = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NONSTRICT, Verdict.UNSUPPORTED)


def render(record: RunRecord, console: Console, *, folder: Path = Path(), verbose: bool = False) -> None:
    """Print the whole report; `folder` is the one of the artifacts, `verbose` names passed cases too."""
    plain = not (console.encoding or "").lower().startswith("utf")
    cells = [c for c in record.results if c.ends]
    if cells:
        interop.render(cells, console, plain=plain)
    for peer, cases in _grouped([c for c in record.results if not c.ends], lambda c: c.peer):
        console.print(_tree(peer, cases, plain=plain, verbose=verbose))
    troubled = [c for c in record.results if _is_worth_a_block(c)]
    for case in troubled:
        console.print()
        _print_block(record, case, folder, console, plain=plain)
    console.print()
    for line in summary(record):
        console.print(line)


def compare(record: RunRecord, baseline: RunRecord, console: Console) -> None:
    """Print one line for each case whose verdict is another than in the older run."""
    plain = not (console.encoding or "").lower().startswith("utf")
    old = {(c.peer, c.case_id): c.verdict for c in baseline.results}
    changed = [c for c in record.results if old.pop((c.peer, c.case_id), None) is not c.verdict]
    before = {(c.peer, c.case_id): str(c.verdict) for c in baseline.results}
    for case in changed:
        was = before.get((case.peer, case.case_id), "new")
        console.print(
            _sign(case.verdict, plain=plain), Text(f"{case.case_id} on {case.peer}: {case.verdict}, was {was}")
        )
    for peer, case_id in sorted(old):
        console.print(Text(f"  {case_id} on {peer}: did not run, was {before[peer, case_id]}", "dim"))
    console.print(Text(f"{len(changed)} changed since {baseline.run.id}, {len(old)} did not run"))


def summary(record: RunRecord) -> list[Text]:
    """The last two lines: counts, then regressions."""
    totals = count(record.results)
    counts = Text(f"{len(record.results)} cases in {record.run.duration_s:.1f} s: ")
    parts = [Text(f"{n} {v}", MARKS[v].style) for v, n in totals.items() if n]
    counts.append_text(Text(", ").join(parts) if parts else Text("nothing ran"))
    if again := second_tries(record.results):
        counts.append(f"; {again} at a second try", "dim")
    regressions, fixed, inconclusive = surprises(record.results)
    last = Text(f"{regressions} regression{'' if regressions == 1 else 's'}", "bold red" if regressions else "green")
    if fixed:
        last.append(f", {fixed} fixed (remove {'its entry' if fixed == 1 else 'their entries'})", "bold red")
    if inconclusive:
        last.append(f", {inconclusive} unexpectedly inconclusive", "magenta")
    return [counts, last]


def _is_worth_a_block(case: CaseRecord) -> bool:
    """What an interop cell is unsupported for stands below the matrix."""
    if case.ends and case.verdict is Verdict.UNSUPPORTED:
        return False
    return case.verdict in _WORTH_A_BLOCK or case.outcome is not Outcome.AS_EXPECTED


def _tree(peer: str, cases: list[CaseRecord], *, plain: bool, verbose: bool) -> Tree:
    tree = Tree(Text(peer, "bold"), guide_style="dim")
    for family, members in _grouped(cases, lambda c: c.family):
        passed = sum(c.verdict is Verdict.PASS for c in members)
        label = Text.assemble(f"{family:<16} ", (f"{passed:>3}/{len(members):<4}", "dim"))
        for case in members:
            label.append_text(_sign(case.verdict, plain=plain))
        branch = tree.add(label)
        for case in members:
            if (
                verbose
                or case.attempt > 1
                or case.verdict is not Verdict.PASS
                or case.outcome is not Outcome.AS_EXPECTED
            ):
                branch.add(_entry(case, plain=plain))
    return tree


def _entry(case: CaseRecord, *, plain: bool) -> Text:
    entry = _sign(case.verdict, plain=plain)
    entry.append(f" {case.case_id.removeprefix(case.family + '/')}", "default")
    if case.outcome is Outcome.REGRESSION and case.verdict is Verdict.INCONCLUSIVE:
        entry.append("  unexpected", "magenta")  # says nothing about the peer; the last line counts it apart, too
    elif case.outcome is not Outcome.AS_EXPECTED:
        entry.append(f"  {case.outcome}", "bold red")
    elif case.expectation:
        entry.append("  expected", "dim")
    if case.attempt > 1:
        entry.append("  second try", "dim")
    return entry


def _print_block(record: RunRecord, case: CaseRecord, folder: Path, console: Console, *, plain: bool) -> None:
    head = _sign(case.verdict, plain=plain)
    head.append(f" {case.case_id}", "bold default")
    head.append(f"  {case.verdict} on {case.peer}", "dim")
    console.print(head, soft_wrap=True)
    for name, value in _facts(record, case, folder):
        if value:
            _print_row(name, _printable(value), console)


def _facts(record: RunRecord, case: CaseRecord, folder: Path) -> Iterator[tuple[str, str]]:
    for check in case.checks:
        if check.met is False:
            requirement = record.requirements.get(check.requirement)
            sentence = f": {requirement.text}" if requirement else ""
            yield "requires", f"{check.level} {check.requirement}{sentence}"
    if reason := case.reason:
        yield "why", _first_line(reason.text)
        yield "expected", reason.expected
        yield "actual", reason.actual
        yield "at", f"{reason.file}:{reason.line}" if reason.line else reason.file
    yield "known", case.expectation
    for note in case.notes:
        yield "note", _first_line(note)
    if "pcap" in case.artifacts:
        yield "capture", str(folder / case.artifacts["pcap"])
    yield "again", case.repro


def _first_line(text: str) -> str:
    """Of what a daemon said when it died the summary; the page of the case has the rest."""
    first, _, rest = text.partition("\n")
    return f"{first} (more in the report)" if rest else first


def _print_row(name: str, value: str, console: Console) -> None:
    """A name and its value; what a reader copies is never broken into lines."""
    label = Text(f"  {name:<9} ", "dim")
    if name in {"at", "capture", "again"}:
        console.print(Text.assemble(label, value), soft_wrap=True)
        return
    lines = Text(value).wrap(console, max(20, console.width - len(label)))
    for number, line in enumerate(lines):
        line.rstrip()
        console.print(Text.assemble(" " * len(label) if number else label, line), soft_wrap=True)


def _printable(value: str) -> str:
    """Keep escape sequences that came from a peer away from the terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in value)


def _sign(verdict: Verdict, *, plain: bool) -> Text:
    mark = MARKS[verdict]
    return Text(mark.plain if plain else mark.sign, mark.style)


def _grouped(cases: list[CaseRecord], key: Callable[[CaseRecord], str]) -> Iterator[tuple[str, list[CaseRecord]]]:
    for name, members in groupby(sorted(cases, key=lambda c: (key(c), c.case_id)), key=key):
        yield name, list(members)
