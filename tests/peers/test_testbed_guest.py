"""Testbeds whose daemons stand in the lab VM because they need a kernel's ESP, the rest of the network here."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from ipsectest.base.errors import LabError
from ipsectest.base.suites import parse_suite
from ipsectest.lab.topology import Topology, shipped
from ipsectest.lab.vm.qemu import PROGRAM
from ipsectest.net.loop import EventLoop
from ipsectest.peers import rootfs, table
from ipsectest.runner.testbed.commands import perform
from ipsectest.runner.testbed.testbed import Plane
from ipsectest.runner.testbed.testbed import Testbed as Bed  # by its own name pytest would collect it
from ipsectest.runner.testbed.tunnels import Offer, tunnels_of
from tests.lab.two_namespaces import require_lab

pytestmark = [pytest.mark.lab, pytest.mark.peer, pytest.mark.slow]

IKE, ESP = parse_suite("aes128gcm16-prfsha256-x25519"), parse_suite("aes128gcm16-noesn")
Open = Callable[..., AbstractContextManager[Bed]]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    require_lab("ip", "nft")
    for program in (PROGRAM, "mmdebstrap"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))

    @contextmanager
    def opening(name: str, ip: int, **peers: str) -> Iterator[Bed]:
        for peer in peers.values():
            if rootfs.find(table.parse(peer)) is None:
                pytest.skip(f"ipsectest peers install {peer}")
        topology = Topology.load(shipped()[name])
        seats = {node.name: table.parse("builtin") for node in topology.nodes.values() if node.endpoint}
        seats |= {node: table.parse(peer) for node, peer in peers.items()}
        (tmp_path / "folder").mkdir()
        tunnels = tunnels_of(topology, Offer(b"a secret of no worth", IKE, ESP, ip))
        planes = dict.fromkeys(peers, Plane.GUEST)
        with EventLoop() as loop, Bed(topology, tunnels, seats, loop, tmp_path / "folder", planes) as made:
            yield made

    yield opening
    assert not list((tmp_path / "run").iterdir())


def done(testbed: Bed, *lines: str) -> None:
    for line in lines:
        outcome = perform(testbed, line)
        assert outcome.problem == "", (line, outcome)


def test_libreswan_is_the_gateway_of_a_client_behind_a_nat(opened: Open) -> None:
    with opened("road-warrior", 4, gateway="libreswan") as testbed:
        done(testbed, "up", "ping", "rekey child", "rekey ike by gateway", "ping")
        status, said = testbed.guests["gateway"].run("ip xfrm state")
        assert status == 0
        assert "encap type espinudp sport 4500" in said
        done(testbed, "down")


def test_a_path_fails_between_two_kinds_of_daemons_in_the_guest(opened: Open) -> None:
    with opened("two-paths", 6, left="strongswan", right="libreswan") as testbed:
        done(testbed, "up", "ping", "fail first", "ping", "repair first", "fail second", "ping", "rekey ike", "ping")


def test_a_link_that_we_impair_does_not_reach_into_the_guest(opened: Open) -> None:
    with pytest.raises(LabError, match="impaired by ipsectest itself"), opened("bad-link", 4, right="strongswan"):
        pass
