"""IPComp of the kernel inside ESP, between strongSwan and Libreswan: decrypted, it is what their hosts sent."""

import os
import shutil
from pathlib import Path

import pytest

from ipsectest.lab.vm.qemu import PROGRAM
from ipsectest.peers import table
from ipsectest.runner.expectations import Expectations
from ipsectest.runner.interop.abilities import Abilities
from ipsectest.runner.interop.record import Records
from ipsectest.scenario.results import Verdict
from tests.lab.two_namespaces import require_lab
from tests.peers.decrypted import decrypted, malformed, received, sent
from tests.peers.record_daemons import PLANS, Plan, play

pytestmark = [pytest.mark.lab, pytest.mark.peer, pytest.mark.slow]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_packets_that_a_kernel_compressed(plan: Plan, tmp_path: Path) -> None:
    if os.environ.get("IPSECTEST_ALL_CELLS", "") in {"", "0"}:
        pytest.skip("IPSECTEST_ALL_CELLS=1 plays them; what was recorded is in pcaps/daemons")
    require_lab()
    for program in (PROGRAM, "mmdebstrap"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    for peer in plan.peers:
        table.install(table.parse(peer))
    played, given, got, versions = play(plan)
    abilities = {name: Abilities(name.partition("@")[0], version) for name, version in versions.items()}
    result = Records(abilities, Expectations(), tmp_path).add(played)
    assert result.verdict is Verdict.PASS, result.reason
    assert any("N(IPCOMP_SUPPORTED)" in rung.text for rung in result.ladder)
    output, found = decrypted(tmp_path / result.folder, tmp_path / result.artifacts["pcap"])
    assert sent(found, ()) == sent(given, ())
    assert received(found, ()) == received(got, ())
    assert malformed(output) == []
