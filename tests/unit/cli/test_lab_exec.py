"""``ipsectest lab exec`` as somebody types it in a second terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ipsectest.cli.main import main
from ipsectest.runner.testbed.running import Running
from tests.lab.two_namespaces import require_lab

PROGRAM = [sys.executable, "-m", "ipsectest.cli.main", "lab"]


def left_by(directory: Path, topology: str, *nodes: str) -> None:
    """The note of a lab of this process."""
    directory.mkdir(parents=True)
    Running(topology, {node: f"/run/netns/{node}" for node in nodes}, (), None).leave(directory)


def test_without_a_lab_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path))
    (tmp_path / "dead").mkdir()
    for text in ('{"topology": "road-warrior", "pid": 1, "start": 1}', "half a no", "[]"):
        (tmp_path / "dead" / "testbed.json").write_text(text)
        assert main(["lab", "exec", "client", "true"]) == 2
        assert capsys.readouterr().err == "ipsectest: no lab is up: ipsectest lab up TOPOLOGY in another terminal\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nat", "true"], "no node 'nat' in "),
        (["left", "true"], "left is in several labs, say --lab: "),
        (["--lab", "road-warrior", "left", "true"], "--lab road-warrior: there are "),
        (["--lab", "two-paths", "right", "true"], "no node 'right' in two-paths"),
    ],
)
def test_what_is_not_clear_is_one_line_and_code_2(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path))
    left_by(tmp_path / "1", "two-paths", "left")
    left_by(tmp_path / "2", "host-to-host", "left", "right")
    assert main(["lab", "exec", *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.lab
def test_a_command_runs_at_a_node_of_the_lab_that_is_up(tmp_path: Path) -> None:
    require_lab("nsenter")
    (tmp_path / "run").mkdir()
    environment = {**os.environ, "IPSECTEST_RUNTIME": str(tmp_path / "run")}

    def inside(*words: str, given: str = "") -> tuple[int, str]:
        argv = [*PROGRAM, "exec", *words]
        done = subprocess.run(
            argv, env=environment, input=given, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout

    up = [*PROGRAM, "up", "host-to-host", "--json", f"--report={tmp_path / 'lab'}"]
    with subprocess.Popen(up, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert json.loads(process.stdout.readline())["ok"]
        status, said = inside("left", "--", "ping", "-c1", "203.0.113.1")
        assert (status, " 1 received" in said) == (0, True)
        assert inside("--lab", "host-to-host", "right", "sh", "-c", "exit 3") == (3, "")
        assert inside("right", given="ip -o link show wire | wc -l\n") == (0, "1\n")
        process.stdin.close()
        assert process.wait(60) == 0
    assert inside("left", "true")[0] == 2
    assert not list((tmp_path / "run").iterdir())
