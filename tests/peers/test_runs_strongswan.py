"""Whole runs against strongSwan: report folder, clean-up after Ctrl-C, life after a crash."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ipsectest.lab.privileges import can_make_namespaces
from ipsectest.peers import table
from ipsectest.peers.names import PeerName
from ipsectest.peers.options import DaemonOptions
from ipsectest.report import jsonfile
from ipsectest.runner import library
from ipsectest.runner.conductor import Finished
from ipsectest.runner.instances import Daemons, Instance
from ipsectest.runner.recorder import Recorder
from ipsectest.runner.records import exit_code
from ipsectest.runner.session import Session
from ipsectest.scenario.load import load
from ipsectest.scenario.results import Verdict

NAME = PeerName("strongswan", "trixie")


def _installed() -> bool:
    from ipsectest.peers import rootfs

    return rootfs.find(NAME) is not None


pytestmark = [
    pytest.mark.peer,
    pytest.mark.lab,
    pytest.mark.skipif(not can_make_namespaces(), reason="needs network namespaces (root)"),
    pytest.mark.skipif(not _installed(), reason=f"{NAME} is not installed (ipsectest peers install {NAME})"),
]


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "ipsectest.cli.main", "run", "--peer", "strongswan", *words]


def _environment(runtime: Path) -> dict[str, str]:
    return os.environ | {"IPSECTEST_RUNTIME": str(runtime)}


def test_a_run_leaves_a_private_report_with_keys_and_captures(tmp_path: Path) -> None:
    report = tmp_path / "report"
    words = _command("natt", "ike/init/cookie-demanded", "--report", str(report))
    done = subprocess.run(words, env=_environment(tmp_path), capture_output=True, text=True, timeout=120, check=False)
    record = jsonfile.load(report)
    assert done.returncode == exit_code(record.results), done.stderr
    assert stat.S_IMODE(report.stat().st_mode) == 0o700
    assert record.peers[str(NAME)].version
    assert sum(c.verdict is Verdict.PASS for c in record.results) > len(record.results) // 2
    for case in record.results:
        played = set() if case.verdict is Verdict.UNSUPPORTED else {"pcap", "ladder"}
        assert {"peer_conf", "repro"} | played <= case.artifacts.keys()
        assert all((report / path).is_file() for path in case.artifacts.values())
    assert (report / "junit.xml").is_file()
    assert (report / "index.html").is_file()
    assert list(tmp_path.glob("*.journal")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    before = set(Path("/run/netns").glob("ipsectest-*"))
    words = _command("--no-report")
    with subprocess.Popen(words, env=_environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        end = time.monotonic() + 30
        while not list(tmp_path.glob("*/peer*/charon.log")) and time.monotonic() < end and run.poll() is None:
            os.sched_yield()
        run.send_signal(number)
        _, errors = run.communicate(timeout=30)
    assert run.returncode == 130, errors
    assert errors == b"ipsectest: interrupted\n"
    assert list(tmp_path.glob("*")) == []
    mine = {path.name for path in set(Path("/run/netns").glob("ipsectest-*")) - before}
    assert not any(name.startswith(f"ipsectest-{path.stem}") for name in mine for path in tmp_path.glob("*"))


def test_a_killed_daemon_fails_what_ran_and_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = library.root()
    scenarios = {s.id: s for s in (load(path, folder) for path in library.select(["ike/info", "natt"], folder))}
    started: list[Instance] = []
    start = Daemons.start

    def recording(self: Daemons, name: PeerName, options: DaemonOptions) -> Instance:
        started.append(start(self, name, options))
        return started[-1]

    killed = []

    def kill_once(_peer: str, finished: Finished) -> None:
        if not finished.case.scenario.startswith("sanity") and not killed:
            killed.append(started[0].peer._process.pid)
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(Daemons, "start", recording)
    recorder = Recorder(scenarios, {}, 1)
    cases = [case for s in scenarios.values() for case in s.cases]
    Session(recorder, folder, 1, jobs=8, progress=kill_once).daemons(table.parse("strongswan"), cases)
    crashed = [c for c in recorder.results if c.reason and "crashed" in c.reason.text]
    assert 1 <= len(crashed) <= 8
    assert {c.verdict for c in crashed} == {Verdict.FAIL}
    assert "SIGKILL" in crashed[0].reason.text
    assert sum(c.verdict is Verdict.PASS for c in recorder.results) > len(cases) // 2
    assert started[0].peer._process.pid != killed[0]


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_tshark_decrypts_a_capture_with_the_tables_beside_it(tmp_path: Path) -> None:
    report = tmp_path / "report"
    words = _command("esp/receive", "--report", str(report))
    subprocess.run(words, env=_environment(tmp_path), capture_output=True, timeout=120, check=False)
    opener = next(report.glob("cases/**/open.sh"))
    done = subprocess.run(
        [opener, "-Y", "isakmp.typepayload == 39 or icmp"],  # an AUTH payload is seen only inside SK
        env=os.environ | {"VIEWER": "tshark"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "IKE_AUTH" in done.stdout
    assert "ICMP" in done.stdout
