"""``ipsectest lab vm start|shell|stop`` as a script calls them."""

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ipsectest.lab.vm import keeper
from ipsectest.lab.vm.qemu import PROGRAM
from tests.lab.terminal import Terminal
from tests.lab.two_namespaces import require_lab

pytestmark = [pytest.mark.lab, pytest.mark.slow]


ARGV = [sys.executable, "-m", "ipsectest.cli.main", "lab", "vm"]


def command(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Raises TimeoutExpired if something holds the output open after the command has ended."""
    argv = [*ARGV, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=200, check=False, input=given)


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
        with closing(Terminal([*ARGV, "shell"])) as shell:
            shell.until(b"# ")
            # Not until what is to be interrupted has the terminal does an interrupt end it.
            shell.type(b"sh -c 'echo be''gun; exec sleep 1000'\n")
            shell.until(b"begun\r\n")
            shell.type(b"\x03")
            shell.until(b"# ")
            shell.type(b"echo $((6 * 9))\n")
            shell.until(b"54\r\n")
            shell.type(b"\x1d")
            assert shell.end() == 0
        # Its own child is to be gone as well: the channel is free for the next one.
        argv = [*ARGV, "shell", "echo begun; sleep 1000"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "begun\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
        running = "for one in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$one; echo; done"
        assert "sleep 1000 \n" not in command("shell", running).stdout
        again = command("start")
        assert again.returncode == 3
        assert "running already" in again.stderr
    finally:
        stopped = command("stop")
    assert stopped.stdout == "stopped\n"
    assert keeper.kept() is None
    assert command("stop").stdout == "no virtual machine is running\n"
