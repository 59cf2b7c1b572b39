"""``ipsectest lab up`` and ``lab topologies`` as somebody types them."""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ipsectest.cli.main import main
from ipsectest.lab.topology import shipped
from tests.lab.terminal import Terminal
from tests.lab.two_namespaces import require_lab

WRONG = [
    (["road-warior"], "there is no topology 'road-warior'"),
    (["missing.toml"], "missing.toml"),
    (["road-warrior", "--peer", "host=builtin"], "no endpoint 'host' (there are client, gateway)"),
    (["road-warrior", "--peer", "strongswn"], "did you mean 'strongswan'"),
    (["road-warrior", "--impair", "nat-host:loss=1"], "no link 'nat-host' (there are "),
    (["road-warrior", "--impair", "nat-gateway:lose=1"], "no impairment 'lose' (there are loss, "),
    (["road-warrior", "--impair", "nat-gateway:loss"], "loss is no number: ''"),
    (["road-warrior", "--impair", "nat-gateway:loss=0.1,loss=0.2"], "loss stands twice"),
    (["road-warrior", "--impair", "nat-gateway:loss=2"], "loss is a probability from 0 to 1"),
    (["road-warrior", "--ip", "6"], "no IPv6 address"),
    (["road-warrior", "--peer", "gateway=builtin@windows"], "builtin@windows is never responder, as gateway"),
    (["road-warrior", "--peer", "client=builtin@windos"], "did you mean 'windows'"),
    (
        ["road-warrior", "--peer", "client=builtin@windows", "--auth", "psk"],
        "no psk authentication: write --auth rsa or",
    ),
    (["site-to-site", "--peer", "builtin@aws", "--ip", "6"], "builtin@aws is not known to speak over IPv6"),
    (
        ["road-warrior", "--peer", "gateway=builtin@azure", "--peer", "client=builtin@windows"],
        "no way to authenticate in common",
    ),
    (["road-warrior", "--esp", "rot13"], "rot13"),
    (["road-warrior", "--plane", "paper"], "invalid choice"),
    (["road-warrior", "--plane", "guest"], "--plane guest is for daemons"),
    (["road-warrior", "--plane", "user", "--peer", "gateway=libreswan@host"], "has no ESP in user space"),
]


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_mistakes_are_one_line_and_code_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "up", *words]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_a_kernel_without_esp_is_told_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ipsectest.cli.lab_up._esp_refusal", lambda: "no such algorithm")
    monkeypatch.setattr("ipsectest.lab.privileges.reexec", lambda _argv: None)
    assert main(["lab", "up", "road-warrior", "--plane", "kernel", f"--report={tmp_path / 'lab'}"]) == 3
    assert "takes no ESP (no such algorithm): leave --plane out" in capsys.readouterr().err
    assert not (tmp_path / "lab").exists()


def test_the_topologies_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "topologies", "--json"]) == 0
    assert {one["name"] for one in json.loads(capsys.readouterr().out)} == set(shipped())
    assert main(["lab", "topologies"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in shipped())


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "ipsectest.cli.main", "lab", "up", *words, f"--report={folder}"]


def runs_in(folder: Path) -> dict[str, str]:
    (folder / "run").mkdir()
    return {**os.environ, "IPSECTEST_RUNTIME": str(folder / "run")}


@pytest.mark.lab
def test_lines_come_from_standard_input_and_each_has_its_object(tmp_path: Path) -> None:
    require_lab("nsenter")
    lines = "ping\nrun left ip -o link show wire\nbogus\n\nquit\nping\n"
    done = subprocess.run(
        command(tmp_path / "lab", "host-to-host", "--json"),
        input=lines, env=runs_in(tmp_path), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["command"] for one in told] == ["up", "ping", "run left ip -o link show wire", "bogus"]
    assert [one["ok"] for one in told] == [True, True, True, False]
    assert " mtu 1500 " in told[2]["text"]
    assert done.returncode == 1, done.stderr
    assert str(tmp_path / "lab") in done.stderr
    assert (tmp_path / "lab").stat().st_mode & 0o777 == 0o700
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.lab
def test_what_is_given_is_done_and_no_more(tmp_path: Path) -> None:
    require_lab()
    words = ["host-to-host", "--down", "-c", "status", "-c", "up", "-c", "rekey child"]
    done = subprocess.run(
        command(tmp_path / "lab", *words),
        env=runs_in(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("lab> status") < done.stdout.index("down") < done.stdout.index("lab> rekey child")
    again = subprocess.run(
        command(tmp_path / "lab", *words), env={**os.environ}, capture_output=True, text=True, timeout=60, check=False
    )
    assert again.returncode == 2
    assert "captures of another lab" in again.stderr


@pytest.mark.lab
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_takes_everything_down(tmp_path: Path, number: signal.Signals) -> None:
    require_lab()
    words = command(tmp_path / "lab", "host-to-host", "-c", "wait 600", "--json")
    process = subprocess.Popen(words, env=runs_in(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert json.loads(process.stdout.readline())["command"] == "up"
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert not list((tmp_path / "run").iterdir())
    assert (tmp_path / "lab" / "logs" / "left.log").stat().st_size > 0


@pytest.mark.lab
@pytest.mark.parametrize(("last", "status"), [(b"\x04", 0), (signal.SIGTERM, 130)], ids=["end-of-file", "killed"])
def test_at_the_prompt_an_interrupt_ends_what_runs_and_no_more(
    tmp_path: Path, last: bytes | signal.Signals, status: int
) -> None:
    require_lab("nsenter")
    environment = {"IPSECTEST_RUNTIME": runs_in(tmp_path)["IPSECTEST_RUNTIME"], "TERM": "dumb"}
    with closing(Terminal(command(tmp_path / "lab", "host-to-host"), **environment)) as prompt:
        prompt.until(b"lab> ")
        prompt.type(b"run left sh -c 'echo be''gun; sleep 1000'\n")
        prompt.until(b"begun\r\n")
        prompt.type(b"\x03")
        prompt.until(b"interrupted; Ctrl-D takes the lab down")
        prompt.until(b"lab> ")
        prompt.type(b"pin\x03")
        prompt.until(b"Ctrl-D takes the lab down", again=b"\x03")
        prompt.until(b"lab> ")
        prompt.type(b"ping 1\n")
        prompt.until(b"received")
        prompt.until(b"lab> ")
        if isinstance(last, bytes):
            prompt.type(last)
        else:
            prompt.signal(last)
        assert prompt.end(again=b"\n") == status
    assert not list((tmp_path / "run").iterdir())
