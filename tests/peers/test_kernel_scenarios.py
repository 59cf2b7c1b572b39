"""Scenarios of policy and data plane against strongSwan with a kernel that has IPsec: in the lab's virtual machine."""

import shutil

import pytest

from ipsectest.lab.privileges import can_make_namespaces
from ipsectest.lab.vm.qemu import PROGRAM
from ipsectest.peers import rootfs
from ipsectest.peers.names import PeerName
from ipsectest.runner.recorder import Recorder
from ipsectest.runner.records import Outcome
from ipsectest.runner.session import Lab, Session
from ipsectest.scenario.load import load
from ipsectest.scenario.requirements import scenarios_folder
from ipsectest.scenario.results import Verdict

NAME = PeerName("strongswan", "trixie")
HERE = "ike/info/bad-icv"
SPREAD = (
    HERE,
    "ah/tunnel", "esp/esn/across-the-wrap", "esp/esn/rekeyed", "esp/header/ecn-ce", "esp/transport/accepted",
    "esp/transport/rekeyed", "policy/gateway/too-big", "policy/inbound/clear", "policy/lifetime/packets",
    "policy/outbound/bypass", "policy/spd/order", "policy/trap/first-selector",
)  # fmt: skip

pytestmark = [
    pytest.mark.peer,
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(not can_make_namespaces(), reason="needs network namespaces (root)"),
    pytest.mark.skipif(not shutil.which(PROGRAM), reason=f"{PROGRAM} is not installed"),
    pytest.mark.skipif(rootfs.find(NAME) is None, reason=f"{NAME} is not installed"),
]


def test_strongswan_with_the_kernels_ipsec_meets_a_spread_of_them() -> None:
    """What strongSwan cannot do here is taken there, with a sanity case of its own."""
    folder = scenarios_folder()
    scenarios = {name: load(folder / f"{name}.toml") for name in SPREAD}
    recorder = Recorder(scenarios, {}, 1)
    cases = [case for scenario in scenarios.values() for case in scenario.cases]
    Session(recorder, folder, 1, lab=Lab.AUTO).daemons(NAME, cases)
    odd = [(case.case_id, case.verdict, case.reason) for case in recorder.results if case.verdict is not Verdict.PASS]
    assert not odd
    played = [case for case in recorder.results if not case.scenario.startswith("sanity/")]
    assert sorted(case.case_id for case in played) == sorted(case.id for case in cases)
    assert {case.outcome for case in recorder.results} == {Outcome.AS_EXPECTED}
    there = {case.scenario for case in recorder.results if "--lab vm" in case.repro}
    assert {name for name in SPREAD if name.startswith(("ah/", "policy/"))} | {"sanity/first-vm-1"} <= there
    assert HERE not in there
