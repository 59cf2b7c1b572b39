"""``ipsectest lab vm start|shell|stop`` as a script calls them."""

import os
import select
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ipsectest.lab.vm import keeper
from ipsectest.lab.vm.qemu import PROGRAM
from tests.lab.two_namespaces import require_lab

pytestmark = [pytest.mark.lab, pytest.mark.slow]


ARGV = [sys.executable, "-m", "ipsectest.cli.main", "lab", "vm"]


def command(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Raises TimeoutExpired if something holds the output open after the command has ended."""
    argv = [*ARGV, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=200, check=False, input=given)


class Terminal:
    """The shell of the machine on a terminal."""

    def __init__(self) -> None:
        self._ours, theirs = os.openpty()
        self._process = subprocess.Popen([*ARGV, "shell"], stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self._seen = b""

    def until(self, text: bytes) -> None:
        """Wait until it shows this behind what was waited for before."""
        while text not in self._seen:
            assert select.select([self._ours], [], [], 60)[0], self._seen
            self._seen += os.read(self._ours, 4096)
        self._seen = self._seen.partition(text)[2]

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def end(self) -> int:
        """The exit status."""
        return self._process.wait(20)

    def close(self) -> None:
        """Leave nothing of it."""
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


def test_a_started_machine_is_left_alone_until_it_is_stopped() -> None:
    require_lab()
    if not Path(PROGRAM).exists():
        pytest.skip("QEMU is not installed: script/bootstrap")
    if keeper.kept():
        pytest.skip("a virtual machine of the user is running")
    try:
        started = command("start")
        assert started.returncode == 0, started.stderr
        assert "192.0.2.2" in started.stdout
        answered = command("shell", "echo $((6 * 7)); exit 3")
        assert (answered.returncode, answered.stdout) == (3, "42\n")
        assert command("shell", "ls", "-d", "/lab").stdout == "/lab\n"
        assert command("shell", given="read x\necho $((6 * 8)); false\n").returncode == 1
        assert command("shell", given="echo $((6 * 8))\n").stdout == "48\n"
        with closing(Terminal()) as shell:
            shell.until(b"# ")
            # Not until the shell has begun to run the line does an interrupt end it.
            shell.type(b"echo be''gun; sleep 1000\n")
            shell.until(b"begun\r\n")
            shell.type(b"\x03")
            shell.until(b"# ")
            shell.type(b"echo $((6 * 9))\n")
            shell.until(b"54\r\n")
            shell.type(b"\x1d")
            assert shell.end() == 0
        again = command("start")
        assert again.returncode == 3
        assert "running already" in again.stderr
    finally:
        stopped = command("stop")
    assert stopped.stdout == "stopped\n"
    assert keeper.kept() is None
    assert command("stop").stdout == "no virtual machine is running\n"
