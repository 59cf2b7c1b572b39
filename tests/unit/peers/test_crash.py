"""A dead daemon is noticed, and of what it died is told."""

import signal
from pathlib import Path

import pytest

from ipsectest.peers.crash import CrashWatch


class Daemon:
    """A process of which only the status matters."""

    pid = 1

    def __init__(self, output: Path) -> None:
        self.output = output
        self.result: int | None = None

    def fileno(self) -> int:
        return -1

    def status(self) -> int | None:
        return self.result

    def wait(self, _seconds: float) -> int | None:
        return self.result

    def stop(self, _grace: float = 2.0) -> int:
        return self.result or 0


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path / "daemon.out")


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_healthy_daemon_has_no_reason(daemon: Daemon) -> None:
    append(daemon.output, "all is well\n")
    watch = CrashWatch(daemon)
    assert watch.reason() is None
    append(daemon.output, "still well\n")
    assert watch.reason() is None


@pytest.mark.parametrize(
    "words",
    [
        "00[DMN] killing ourself, received critical signal",
        "==1==ERROR: AddressSanitizer: heap-buffer-overflow",
        "x.c:1:2: runtime error: signed integer overflow",
        "daemon: x.c:1: f: Assertion `a' failed.",
        "*** stack smashing detected ***: terminated",
    ],
)
def test_last_words_count_even_while_it_still_runs(daemon: Daemon, tmp_path: Path, words: str) -> None:
    log = tmp_path / "daemon.log"
    watch = CrashWatch(daemon, log)
    append(log, "fine\n" + words[:10])
    assert watch.reason() is None  # half a line is not yet a word
    append(log, words[10:] + "\nframe 1\n")
    reason = watch.reason()
    assert reason
    assert reason.splitlines()[0] == words
    assert "frame 1" in reason
    assert watch.reason()


def test_an_exit_or_a_signal_is_a_reason(daemon: Daemon) -> None:
    watch = CrashWatch(daemon)
    daemon.result = 3
    assert (watch.reason() or "").startswith("ended with status 3")
    daemon.result = -signal.SIGSEGV
    append(daemon.output, "the end\n")
    (daemon.output.parent / "core.7").touch()
    reason = (watch.reason() or "").splitlines()
    assert reason == ["ended by SIGSEGV", "core dump: core.7", "the end"]


def test_what_an_earlier_daemon_said_does_not_count(daemon: Daemon) -> None:
    append(daemon.output, "killing ourself\n")
    assert CrashWatch(daemon).reason() is None


def test_a_complaint_of_pluto_is_no_crash(daemon: Daemon) -> None:
    watch = CrashWatch(daemon)
    append(daemon.output, "EXPECTATION FAILED: old.responder.sent+1 == msgid\n")
    assert watch.reason() is None
    append(daemon.output, "ABORT: ASSERTION FAILED: st != NULL\n")
    assert "ASSERTION FAILED" in (watch.reason() or "")
