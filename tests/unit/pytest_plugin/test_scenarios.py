"""Scenario files as pytest items against the built-in peer."""

import subprocess
import sys
from pathlib import Path

import pytest

TEMPLATE = """
title = "An empty INFORMATIONAL request is answered"
tests = "responder"
cites = ["7296-1.4-01"]
proof = []
{facts}
script = '''
use tunnel net
-> INFORMATIONAL
<- INFORMATIONAL  {expected}   [MUST 7296-1.4-01]
'''
"""


def collect(folder: Path, expected: str = "", facts: str = "", *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "scenarios" / "ike").mkdir(parents=True, exist_ok=True)
    path = folder / "scenarios" / "ike" / "empty.toml"
    path.write_text(TEMPLATE.format(expected=expected, facts=facts))
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", str(path)]
    command += ["--ipsectest-peer", "builtin", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_a_met_scenario_passes(tmp_path: Path) -> None:
    done = collect(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_a_broken_requirement_fails_with_quarrel_and_ladder(tmp_path: Path) -> None:
    done = collect(tmp_path, "N(TEMPORARY_FAILURE)")
    assert done.returncode == 1
    for part in ("expected", "N(TEMPORARY_FAILURE)", "-> INFORMATIONAL", "empty.toml:10", "again"):
        assert part in done.stdout
    assert "Traceback" not in done.stdout


def test_what_the_peer_cannot_do_is_skipped(tmp_path: Path) -> None:
    done = collect(tmp_path, facts="peer.mobike = true")
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout


def test_a_broken_file_is_a_collection_error_of_one_line(tmp_path: Path) -> None:
    done = collect(tmp_path, "N(TEMPORARY_FAILUR)")
    assert done.returncode == 2
    assert "did you mean" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("verdict", "expected", "code", "word"),
    [("fail", "N(TEMPORARY_FAILURE)", 0, "1 xfailed"), ("fail", "", 1, "expected not to")],
)
def test_known_deviations_are_xfail_and_strict(
    tmp_path: Path, verdict: str, expected: str, code: int, word: str
) -> None:
    folder = tmp_path / "scenarios"
    (folder / "requirements").mkdir(parents=True)
    (folder / "requirements" / "rfc7296.csv").write_text(
        "id,rfc,section,level,actor,requirement,observable,how,area,source\n"
        "7296-1.4-01,7296,1.4,MUST,both,A request is answered.,yes,send one,info,text\n"
    )
    (folder / "requirements" / "contested.csv").write_text("id,why\n")
    (folder / "expected").mkdir()
    entry = f'[[expect]]\nscenario = "ike/empty"\nverdict = "{verdict}"\nreason = "known"\n'
    (folder / "expected" / "builtin.toml").write_text(entry)
    done = collect(tmp_path, expected)
    assert done.returncode == code, done.stdout
    assert word in done.stdout
