"""``ipsectest lab vm start|shell|stop`` as a script calls them."""

import subprocess
import sys
from pathlib import Path

import pytest

from ipsectest.lab.vm import keeper
from ipsectest.lab.vm.qemu import PROGRAM
from tests.lab.two_namespaces import require_lab

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Raises TimeoutExpired if something holds the output open after the command has ended."""
    argv = [sys.executable, "-m", "ipsectest.cli.main", "lab", "vm", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=200, check=False)


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
        again = command("start")
        assert again.returncode == 3
        assert "running already" in again.stderr
    finally:
        stopped = command("stop")
    assert stopped.stdout == "stopped\n"
    assert keeper.kept() is None
    assert command("stop").stdout == "no virtual machine is running\n"
