import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from ipsectest.report import html, interop, jsonfile, junit, markdown, terminal
from ipsectest.runner.expectations import Expectation, Expectations
from ipsectest.runner.interop import cells
from ipsectest.runner.interop.abilities import Abilities
from ipsectest.runner.interop.cells import Cell
from ipsectest.runner.interop.play import Played
from ipsectest.runner.interop.record import Records
from ipsectest.runner.records import Outcome, RunRecord, exit_code
from ipsectest.scenario.results import Verdict

KNOWN = Expectation("interop/rsa", Verdict.FAIL, "sends SHA-1", variant="*,udp,*", peers=("*-to-two",))
SUITES = cells.IKE[0], cells.ESP[0]


@pytest.fixture
def record() -> RunRecord:
    records = Records({"one": Abilities("one", "1.0"), "two": Abilities("two", "2.0")}, Expectations([KNOWN]))
    records.add(Played(Cell("one", "one", *SUITES)))
    records.add(Played(Cell("one", "two", *SUITES)))
    records.add(Played(Cell("two", "one", *SUITES), Verdict.FAIL, "no tunnel came up", "a tunnel", "<none>"))
    records.add(Played(Cell("one", "two", *SUITES, "rsa", "tunnel", "udp"), Verdict.FAIL, "no tunnel came up"))
    records.add(
        Played(Cell("two", "two", *SUITES, mode="transport"), Verdict.UNSUPPORTED, "two lacks transport; two lacks x")
    )
    return records.record("id", "2026-01-01T00:00:00Z", 1.0, 7)


def test_outcomes_follow_the_expectations_of_interop(record: RunRecord) -> None:
    outcomes = {(r.peer, r.scenario): r.outcome for r in record.results}
    assert outcomes["one-to-two", "interop/rsa"] is Outcome.AS_EXPECTED
    assert outcomes["two-to-one", "interop/psk"] is Outcome.REGRESSION
    assert exit_code(record.results) == 1
    assert record.peers["one-to-two"].version == "1.0 to 2.0"


def test_a_repro_is_a_command_of_the_cell(record: RunRecord) -> None:
    for result in record.results:
        words = result.repro.split()
        assert words[:3] == ["ipsectest", "interop", "--cell"]
        assert cells.parse(words[3]).pair == result.peer


def test_the_page_has_initiators_down_and_responders_across(record: RunRecord, tmp_path: Path) -> None:
    page = html.write(record, tmp_path).read_text()
    table = page[page.index('id="matrix"') : page.index("</table>")]
    assert re.findall(r'<th scope="col">([^<]*)</th>', table) == ["initiator \\ responder", "one", "two"]
    assert re.findall(r'<th scope="row"[^>]*>([^<]*)</th>', table) == ["one", "two"]
    rows = [[len(re.findall("<a ", cell)) for cell in row.split("<td")[1:]] for row in table.split("<tr>")[2:]]
    assert rows == [[1, 2], [1, 1]]
    for result in record.results:
        case = (tmp_path / result.folder / "index.html").read_text()
        assert "rekeys the Child SA" in case
        assert "Tagged lines" not in case


def test_no_cell_is_judged_by_lines_that_it_does_not_have(record: RunRecord, tmp_path: Path) -> None:
    html.write(record, tmp_path)
    assert not [page for page in tmp_path.rglob("*.html") if re.search(r"MUST|tagged", page.read_text())]
    assert "| one |" not in markdown.render(record)


def test_json_and_junit_know_the_pairs(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(jsonfile.dump(record))
    assert jsonfile.load(tmp_path) == record
    text = junit.render(record)
    assert 'testsuite name="one-to-two interop"' in text
    assert text.count("<failure") == 1
    assert text.count("<skipped") == 2


def test_the_console_counts_cells_of_each_pair_and_what_is_lacking(record: RunRecord) -> None:
    console = Console(file=io.StringIO(), width=60)
    interop.render(record.results, console, plain=True)
    terminal.render(record, console)
    lines = console.file.getvalue().splitlines()
    assert [line.split() for line in lines[1:3]] == [["(1)", "one", "1+", "1+", "1x"], ["(2)", "two", "1x", "1?"]]
    assert "? two lacks transport (1 cell)" in lines
    assert "? two lacks x (1 cell)" in lines
    assert sum("unsupported on" in line for line in lines) == 0
    assert sum("fail on" in line for line in lines) == 2
