"""The XFRM tests on a kernel with ESP: that of the lab VM."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from ipsectest.lab import Lab
from ipsectest.lab.vm import accelerator
from ipsectest.lab.vm.machine import Machine
from ipsectest.lab.vm.qemu import PROGRAM
from ipsectest.runner import guest as image
from tests.lab.guest import bring_python, run_tests
from tests.lab.two_namespaces import require_lab

pytestmark = [pytest.mark.lab, pytest.mark.slow]

TESTS = [
    Path(__file__).with_name(name)
    for name in (
        "test_xfrm.py",
        "test_xfrm_states.py",
        "test_xfrm_plane.py",
        "test_kernel_gateway.py",
        "test_early_packets.py",
        "test_testbed_kernel.py",
    )
]
MEMORY = 512
"""MiB: interpreter and packages stand in a file system in memory."""
CAP = 900.0


def test_states_policies_and_events_on_a_kernel_with_esp() -> None:
    require_lab()
    for program in (PROGRAM, "mmdebstrap"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    built = image.build(())
    with Lab() as lab:
        kind = accelerator.choose(image.cache_directory(), built)
        machine = Machine(lab, built, accelerator=kind, memory=MEMORY)
        with closing(machine):
            machine.start()
            outcomes = run_tests(machine, bring_python(machine, *TESTS), *TESTS, timeout=CAP)
    unmet = {name: why for name, why in outcomes.items() if why}
    assert not unmet, "\n\n".join(f"{name}: {why}" for name, why in unmet.items())
    assert len(outcomes) >= 75
