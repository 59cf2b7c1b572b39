"""Testbeds whose daemons stand in the lab VM because they need a kernel's ESP, the rest of the network here."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from ipsectest.base.suites import parse_suite
from ipsectest.lab.topology import Topology, shipped
from ipsectest.lab.vm.qemu import PROGRAM
from ipsectest.net.impairment import Fate
from ipsectest.net.loop import EventLoop
from ipsectest.peers import rootfs, table
from ipsectest.runner.testbed.commands import perform
from ipsectest.runner.testbed.testbed import Plane
from ipsectest.runner.testbed.testbed import Testbed as Bed  # by its own name pytest would collect it
from ipsectest.runner.testbed.tunnels import Offer, tunnels_of
from tests.lab.terminal import Terminal
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


def test_a_link_that_we_impair_reaches_into_the_guest(opened: Open) -> None:
    with opened("bad-link", 4, right="strongswan") as testbed:
        done(testbed, "up", "ping 20", "rekey child")
        for lane in testbed.network.impaired["left-right"].lanes:
            assert lane.fates[Fate.LOST]
            assert lane.fates[Fate.DELIVERED]


def test_others_get_into_a_node_of_the_guest(opened: Open, tmp_path: Path) -> None:
    """By a command, and by a shell that leaves the guest's own one as it was."""
    with opened("road-warrior", 4, gateway="libreswan") as testbed:
        done(testbed, "up")
        into = [sys.executable, "-m", "ipsectest.cli.main", "lab", "exec", "gateway"]
        run = str(tmp_path / "run")
        environment = {**os.environ, "IPSECTEST_RUNTIME": run}
        said = subprocess.run(
            [*into, "--", "sh", "-c", "ip xfrm state count; exit 3"],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (said.returncode, said.stdout.split()) == (3, ["SAD", "count", "2"])
        for leave in (b"exit\n", b"\x1d"):
            with closing(Terminal(into, IPSECTEST_RUNTIME=run)) as shell:
                shell.until(b"# ")
                shell.type(b"ip -o link show dev wan | wc -l\n")
                shell.until(b"\n1\r\n")
                shell.type(leave)
                assert shell.end() == 0
