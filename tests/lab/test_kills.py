"""``kill -9`` at random moments of labs with daemons, networks and virtual machines: afterwards nothing is left.

``IPSECTEST_KILLS=50`` for the long run, ``IPSECTEST_SEED`` for other moments.
"""

import os
import shutil
import subprocess
import sys

import pytest

from ipsectest.lab.vm.qemu import PROGRAM
from ipsectest.peers import table
from ipsectest.runner import guest
from tests.lab import kills
from tests.lab.two_namespaces import require_lab

pytestmark = [pytest.mark.lab, pytest.mark.slow]

COUNT = int(os.environ.get("IPSECTEST_KILLS", "4"))
SEED = int(os.environ.get("IPSECTEST_SEED", "1"))
SHORT = ("host", "interop", "keeper", "guest")
CAP = 120.0
"""Seconds for one kill."""


def test_nothing_is_left_after_kill_9_at_a_random_moment() -> None:
    require_lab()
    if not shutil.which(PROGRAM):
        pytest.skip("QEMU is not installed: script/bootstrap")
    if subprocess.run([*kills.NAMESPACES, "true"], check=False).returncode:
        pytest.skip("no process and mount namespaces of our own here")
    names = [table.parse(name) for name in ("strongswan", "libreswan")]
    for name in names:
        table.install(name)
        guest.build([name])
    kinds = kills.KINDS if len(SHORT) < COUNT else SHORT
    done = subprocess.run(
        [sys.executable, "-m", "tests.lab.kills", str(SEED), str(COUNT), *kinds],
        capture_output=True,
        text=True,
        timeout=CAP * COUNT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rounds = kills.read(done.stdout)
    assert len(rounds) == COUNT
    assert [one for one in rounds if one.left or one.clean] == []
    assert any(one.found for one in rounds)  # else they were killed before they had made anything
