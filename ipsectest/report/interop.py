"""The matrix of an interop run on the console: initiators down, responders across, and what is unsupported."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ipsectest.report.marks import MARKS
from ipsectest.runner.records import CaseRecord
from ipsectest.scenario.results import Verdict


def render(cells: Sequence[CaseRecord], console: Console, *, plain: bool = False) -> None:
    """Print the matrix, then a line for each ability that some side lacks."""
    by_ends: dict[tuple[str, str], list[CaseRecord]] = {}
    for cell in cells:
        if cell.ends:
            by_ends.setdefault(cell.ends, []).append(cell)
    peers = sorted({end for ends in by_ends for end in ends})
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("initiator \\ responder", no_wrap=True)
    for number in range(1, len(peers) + 1):  # their names would need more room than a console has
        table.add_column(f"({number})", no_wrap=True)
    for number, initiator in enumerate(peers, 1):
        row = [_tally(by_ends.get((initiator, responder), []), plain=plain) for responder in peers]
        table.add_row(Text(f"({number}) {initiator}"), *row)
    console.print(table)
    lacking = Counter(part for cell in cells for part in _lacking(cell))
    for what, times in sorted(lacking.items()):
        mark = MARKS[Verdict.UNSUPPORTED]
        said = f"{mark.plain if plain else mark.sign} {what} ({times} cell{'s' if times > 1 else ''})"
        console.print(Text(said, mark.style), soft_wrap=True)


def _tally(cells: Sequence[CaseRecord], *, plain: bool) -> Text:
    """How many cells came to each verdict, in the order of the legend."""
    tally = Text()
    for verdict in Verdict:
        number = sum(cell.verdict is verdict for cell in cells)
        if number:
            mark = MARKS[verdict]
            tally.append(f"{number}{mark.plain if plain else mark.sign} ", mark.style)
    return tally


def _lacking(cell: CaseRecord) -> list[str]:
    if cell.verdict is not Verdict.UNSUPPORTED or cell.reason is None:
        return []
    return cell.reason.text.split("; ")
