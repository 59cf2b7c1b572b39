import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ipsectest.cli.main import main

SCENARIO = """
title = "An empty INFORMATIONAL request is answered"
why = "Liveness."
tests = "responder"
cites = ["7296-1.4-01"]
proof = ["never-answers-informational"]
script = '''
use tunnel net
-> INFORMATIONAL
<- INFORMATIONAL  ...   [MUST 7296-1.4-01]
'''
"""
CATALOGUE = """id,rfc,section,level,actor,requirement,observable,how,area,source
7296-1.4-01,7296,1.4,MUST,both,A request is answered.,yes,send one,info,text
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "rfc7296.csv").write_text(CATALOGUE)
    (tmp_path / "requirements" / "contested.csv").write_text("id,why\n")
    (tmp_path / "ike" / "info").mkdir(parents=True)
    (tmp_path / "ike" / "info" / "empty.toml").write_text(SCENARIO)
    return tmp_path


def test_list_and_filter(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, count in (
        ([], 1),
        (["--requirement", "7296-1.4"], 1),
        (["--requirement", "7296-2"], 0),
        (["--tests", "initiator"], 0),
    ):
        assert main(["list", "--scenarios", str(folder), "--json", *options]) == 0
        assert len(json.loads(capsys.readouterr().out)) == count


def test_what_goes_into_a_pipe_has_whole_lines(folder: Path) -> None:
    title = "word " * 60 + "end"
    (folder / "ike" / "info" / "empty.toml").write_text(SCENARIO.replace("An empty INFORMATIONAL", title))
    words = [sys.executable, "-m", "ipsectest.cli.main", "list", "--scenarios", str(folder)]
    plain = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "FORCE_COLOR"}}
    for environment, is_whole in ((plain, True), ({**plain, "COLUMNS": "80"}, False)):
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=True)
        assert (title in done.stdout) is is_whole


def test_show_explains_a_scenario(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "ike/info/empty", "--scenarios", str(folder)]) == 0
    out = capsys.readouterr().out
    for part in ("Liveness.", "A request is answered.", "-> INFORMATIONAL", "never-answers-informational"):
        assert part in out


def test_an_unknown_scenario_is_named_with_the_nearest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "ike/info/emty", "--scenarios", str(folder)]) == 2
    assert "did you mean 'ike/info/empty'?" in capsys.readouterr().err


def test_a_broken_scenario_is_named_with_its_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "ike" / "info" / "empty.toml"
    path.write_text(SCENARIO.replace("-> INFORMATIONAL", "-> INFORMATION"))
    assert main(["list", "--scenarios", str(folder)]) == 2
    err = capsys.readouterr().err
    assert f"{path}:9:4: " in err
    assert "Traceback" not in err


def test_lint_passes_and_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "ike" / "info" / "empty.toml"
    path.write_text(SCENARIO.replace("MUST 7296-1.4-01", "MUST 7296-9.9-99"))
    assert main(["lint", "--scenarios", str(folder), "--json"]) == 2
    findings = json.loads(capsys.readouterr().out)
    assert any("7296-9.9-99" in finding["message"] for finding in findings)


@pytest.mark.parametrize(
    "argv",
    [
        ["run", "--peer", "strongswam"],
        ["run", "--jobs", "0"],
        ["run", "--ip", "5"],
        ["run", "--slow", "fast"],
        ["run", "--compare", "nowhere"],
        ["peers", "install", "nobody"],
        ["peers", "remove", "strongswan@nowhere"],
        ["shell", "nowhere.pcap"],
        ["proof", "nowhere"],
    ],
)
def test_bad_input_ends_in_one_line(argv: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if argv[0] in {"run", "proof"}:
        argv = [*argv, "--scenarios", str(folder)]
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("ipsectest: ")
    assert err.count("\n") == 1
