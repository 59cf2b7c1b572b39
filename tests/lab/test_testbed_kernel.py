"""Testbeds with the kernel's ESP, our gateways at both ends: on a kernel that has it, such as the lab VM's."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipsectest.base.suites import parse_suite
from ipsectest.lab import Lab
from ipsectest.lab.topology import Topology, shipped
from ipsectest.lab.xfrm import esp_refusal
from ipsectest.net.loop import EventLoop
from ipsectest.peers import table
from ipsectest.runner.testbed.commands import perform
from ipsectest.runner.testbed.testbed import Plane
from ipsectest.runner.testbed.testbed import Testbed as Bed  # by its own name pytest would collect it
from ipsectest.runner.testbed.tunnels import Offer, tunnels_of
from tests.lab.two_namespaces import require_lab

pytestmark = pytest.mark.lab

IKE, ESP = parse_suite("aes128gcm16-prfsha256-x25519"), parse_suite("aes128gcm16-noesn")


EVERY = os.environ.get("IPSECTEST_ALL_CELLS", "") not in {"", "0"}
NAMES = ["host-to-host", "road-warrior", *(["site-to-site", "two-paths"] if EVERY else [])]


@pytest.fixture(params=NAMES)
def testbed(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bed]:
    require_lab("ip")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    with Lab() as lab:
        if why := esp_refusal(lab.namespace("probe")):
            pytest.skip(f"this kernel has no ESP: {why}")
    topology = Topology.load(shipped()[request.param])
    peers = {node.name: table.parse("builtin") for node in topology.nodes.values() if node.endpoint}
    tunnels = tunnels_of(topology, Offer(b"a secret of no worth", IKE, ESP))
    (tmp_path / "folder").mkdir()
    with (
        EventLoop() as loop,
        Bed(topology, tunnels, peers, loop, tmp_path / "folder", dict.fromkeys(peers, Plane.KERNEL)) as made,
    ):
        yield made
    assert not list((tmp_path / "run").iterdir())


def test_tunnels_are_crossed_and_rekeyed(testbed: Bed) -> None:
    lines = "up", "ping", "rekey child", "rekey ike", *(f"rekey child by {one.responder}" for one in testbed.tunnels)
    for line in (*lines, "ping", "down"):
        outcome = perform(testbed, line)
        assert outcome.problem == "", (line, outcome)
