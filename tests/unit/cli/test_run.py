"""`ipsectest run` against the built-in peer: report folder, exit codes, repetition by seed."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from ipsectest.cli.main import main
from ipsectest.report import jsonfile
from ipsectest.runner.records import CaseRecord
from ipsectest.scenario.results import Verdict

CATALOGUE = """id,rfc,section,level,actor,requirement,observable,how,area,source
7296-1.4-01,7296,1.4,MUST,both,A request is answered.,yes,send one,info,text
7296-1.4-02,7296,1.4,SHOULD,both,Another.,yes,send one,info,text
"""
SCENARIO = """
title = "An empty INFORMATIONAL request is answered"
tests = "responder"
cites = ["7296-1.4-01"]
proof = ["never-answers-informational"]
script = '''
use tunnel net
-> INFORMATIONAL
<- INFORMATIONAL  $expected   [MUST 7296-1.4-01]
'''
[[variant]]
name = "empty"
expected = ""
[[variant]]
name = "wrong"
expected = "N(TEMPORARY_FAILURE)"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "scenarios"
    (folder / "requirements").mkdir(parents=True)
    (folder / "requirements" / "rfc7296.csv").write_text(CATALOGUE)
    (folder / "requirements" / "contested.csv").write_text("id,why\n")
    (folder / "info").mkdir()
    (folder / "info" / "empty.toml").write_text(SCENARIO)
    return folder


def run(folder: Path, *words: str) -> int:
    return main(["run", "--scenarios", str(folder), *words])


def test_a_run_writes_a_private_folder_with_everything(folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    assert run(folder, "--report", str(report), "--seed", "7") == 1
    assert stat.S_IMODE(report.stat().st_mode) == 0o700
    jsonschema.validate(json.loads((report / "report.json").read_text()), jsonfile.schema())
    record = jsonfile.load(report)
    assert [c.verdict for c in record.results] == [Verdict.PASS, Verdict.FAIL]
    assert record.requirements["7296-1.4-01"].met == record.requirements["7296-1.4-01"].unmet == 1
    assert [(s.section, s.requirements, s.cited, s.unmet) for s in record.coverage] == [("1.4", 2, 1, 1)]
    failed = record.results[1]
    assert failed.repro == "ipsectest run 'info/empty[wrong]' --peer builtin --seed 7"
    for case in record.results:
        assert {"pcap", "peer_conf", "peer_log", "ladder", "repro"} <= case.artifacts.keys()
        for path in case.artifacts.values():
            assert (report / path).is_file()


def test_a_folder_that_cannot_be_written_is_told_with_what_helps(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "file").touch()
    assert run(folder, "--report", str(folder / "file" / "report")) == 2
    said = capsys.readouterr().err
    assert "file/report: Not a directory" in said
    assert "--no-report" in said


def test_a_seed_repeats_every_octet(folder: Path, tmp_path: Path) -> None:
    def results(name: str, seed: str) -> list[CaseRecord]:
        assert run(folder, "info/empty[empty]", "--report", str(tmp_path / name), "--seed", seed) == 0
        return [replace(case, artifacts={}) for case in jsonfile.load(tmp_path / name).results]

    assert results("a", "7") == results("b", "7")
    assert results("a", "7") != results("c", "8")


def test_the_repro_line_of_a_variant_runs_that_variant(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "info/empty[empty]", "--no-report", "--json") == 0
    assert json.loads(capsys.readouterr().out)["verdicts"] == {"pass": 1}


def test_a_known_deviation_is_expected_and_must_not_go_away_unnoticed(folder: Path) -> None:
    (folder / "expected").mkdir()
    entry = '[[expect]]\nscenario = "info/empty"\nvariant = "{}"\nverdict = "fail"\nreason = "known"\n'
    (folder / "expected" / "builtin.toml").write_text(entry.format("wrong"))
    assert run(folder, "--no-report") == 0
    (folder / "expected" / "builtin.toml").write_text(entry.format("*"))
    assert run(folder, "info/empty[empty]", "--no-report") == 1  # fixed


def test_markdown_is_appended(folder: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("# before\n")
    run(folder, "--no-report", "--markdown", str(summary))
    text = summary.read_text()
    assert text.startswith("# before\n")
    assert "info/empty[wrong]" in text


def test_a_comparison_with_an_older_run_marks_changes(folder: Path, tmp_path: Path) -> None:
    run(folder, "--report", str(tmp_path / "old"), "--seed", "1")
    (folder / "info" / "empty.toml").write_text(SCENARIO.replace('"N(TEMPORARY_FAILURE)"', '" "'))
    run(folder, "--report", str(tmp_path / "new"), "--seed", "1", "--compare", str(tmp_path / "old"))
    assert "was fail" in (tmp_path / "new" / "index.html").read_text()


def test_a_proof_tells_healthy_from_impaired(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["proof", "info/empty[empty]", "--scenarios", str(folder), "--json"]) == 0
    trials = json.loads(capsys.readouterr().out)
    assert [(t["impairment"], t["holds"]) for t in trials] == [("", True), ("never-answers-informational", True)]
    assert main(["proof", "--scenarios", str(folder)]) == 1  # the wrong variant fails even when healthy


@pytest.mark.parametrize(
    ("words", "told"), [(["--lab", "nowhere"], "(choose from"), (["--peer", "nobody"], "strongswan, libreswan")]
)
def test_what_there_is_to_choose_from_is_told_in_plain_words(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["run", *words])
    except SystemExit as error:
        code = error.code
    said = capsys.readouterr().err
    assert code == 2
    assert told in said
    assert "<" not in said
    assert "[" not in said
