"""`ipsectest report` on a small report.json of its own."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ipsectest.cli.main import main
from ipsectest.report import jsonfile
from ipsectest.runner.records import CaseRecord, Outcome, PeerRecord, RunInfo, RunRecord, ScenarioRecord
from ipsectest.scenario.results import Verdict

PASSED = CaseRecord("ike/init/cookie", "", "p", Verdict.PASS, Outcome.AS_EXPECTED, 0.1, "ipsectest run ...")


def record(*results: CaseRecord) -> RunRecord:
    scenario = ScenarioRecord("cookie.toml", "A cookie", "", "responder", [], "", "-> IKE_SA_INIT ...")
    run = RunInfo("1", "2026-11-21T00:00:00Z", 1.0, 7)
    return RunRecord(run, {"p": PeerRecord("p")}, {"ike/init/cookie": scenario}, list(results))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "report.json").write_text(jsonfile.dump(record(PASSED)))
    return tmp_path


@pytest.mark.parametrize(
    ("outcome", "verdict", "code"),
    [
        (Outcome.AS_EXPECTED, Verdict.PASS, 0),
        (Outcome.REGRESSION, Verdict.FAIL, 1),
        (Outcome.FIXED, Verdict.PASS, 1),
        (Outcome.REGRESSION, Verdict.INCONCLUSIVE, 3),
    ],
)
def test_the_exit_code_is_that_of_the_run(tmp_path: Path, outcome: Outcome, verdict: Verdict, code: int) -> None:
    path = tmp_path / "report.json"
    path.write_text(jsonfile.dump(record(PASSED, replace(PASSED, variant="b", outcome=outcome, verdict=verdict))))
    assert main(["report", str(path)]) == code


def test_every_format_is_rendered(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, start in (("junit", "<?xml"), ("markdown", "## ipsectest"), ("json", "{")):
        assert main(["report", str(folder), "--format", name]) == 0
        assert capsys.readouterr().out.startswith(start)
    assert main(["report", str(folder), "--format", "html"]) == 0
    assert Path(capsys.readouterr().out.strip()) == folder / "index.html"
    assert (folder / PASSED.folder / "index.html").exists()


def test_output_goes_to_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = folder / "again.json"
    assert main(["report", str(folder), "--format", "json", "-o", str(target)]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads(target.read_text()) == json.loads((folder / "report.json").read_text())


def test_a_comparison_names_what_changed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = tmp_path_factory.mktemp("newer") / "report.json"
    failed = replace(PASSED, verdict=Verdict.FAIL, outcome=Outcome.REGRESSION)
    newer.write_text(jsonfile.dump(record(failed)))
    assert main(["report", str(newer), "--compare", str(folder)]) == 1
    out = capsys.readouterr().out
    assert "ike/init/cookie on p: fail, was pass" in out
    assert "1 changed since 1, 0 did not run" in out


def test_a_broken_report_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "report.json").write_text('{"schema": 1}')
    assert main(["report", str(folder)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "lacks peers" in err
