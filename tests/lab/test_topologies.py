"""The shipped topologies in namespaces: who reaches whom, what NATs do, what bad links lose."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyroute2 import netns

from ipsectest.lab import Lab, clean
from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.topology import Network, Topology, realise, shipped
from ipsectest.net.impairment import Fate
from ipsectest.net.loop import EventLoop
from tests.lab.two_namespaces import ping, require_lab

pytestmark = pytest.mark.lab

Build = Callable[[str], Network]
SERVER_PORT = 4500


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    with EventLoop() as made:
        yield made


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: EventLoop) -> Iterator[Build]:
    """Realises a shipped topology; afterwards nothing of it is left."""
    require_lab("ip", "ping", "nft")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    with Lab() as lab:

        def make(name: str) -> Network:
            network = realise(lab, Topology.load(shipped()[name]))
            network.join(loop)
            return network

        yield make
        loop.close()
    assert not [name for name in netns.listnetns() if lab.run in name]
    assert not list((tmp_path / "run").iterdir())


def test_a_killed_run_leaves_nothing_after_cleaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_lab("nft")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    program = (
        "import signal; from ipsectest.lab import Lab; from ipsectest.lab.topology import *\n"
        "lab = Lab()\n"
        "for name in ('bad-link', 'forgetful-nat'): realise(lab, Topology.load(shipped()[name]))\n"
        "print(lab.run, flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        run = process.stdout.readline().strip()
        process.kill()
    assert len([name for name in netns.listnetns() if run in name]) == 6
    assert len(clean()) == 7
    assert not [name for name in netns.listnetns() if run in name]


REACHED = [
    ("host-to-host", "left", "192.0.2.2"),
    ("host-to-host", "right", "2001:db8::1"),
    ("site-to-site", "host-a", "198.51.100.1"),
    ("site-to-site", "east", "2001:db8::2"),
    ("site-to-site-nat", "east", "192.0.2.2"),
    ("site-to-site-nat", "west", "2001:db8:1::2"),
    ("road-warrior", "client", "192.0.2.2"),
    ("forgetful-nat", "client", "192.0.2.2"),
    ("two-clients-one-nat", "client-a", "192.0.2.2"),
    ("two-clients-one-nat", "client-b", "192.0.2.2"),
    ("nat-both-sides", "client", "192.0.2.2"),
    ("hub-and-spoke", "north", "192.0.2.2"),
    ("hub-and-spoke", "host-south", "2001:db8:a:3::1"),
    ("hub-and-spoke", "south", "2001:db8:1::2"),
    ("two-paths", "left", "192.0.2.2"),
    ("two-paths", "right", "2001:db8::1"),
    ("narrow-path", "left", "192.0.2.2"),
    ("narrow-path", "right", "2001:db8:1::2"),
]
UNREACHED = [
    ("site-to-site", "host-a", "203.0.113.2"),
    ("site-to-site", "east", "2001:db8:b::2"),
    ("site-to-site-nat", "west", "192.0.2.66"),
    ("road-warrior", "client", "203.0.113.2"),
    ("nat-both-sides", "client", "192.0.2.130"),
    ("hub-and-spoke", "host-north", "198.51.100.66"),
]


@pytest.mark.parametrize("name", shipped())
def test_each_topology_is_realised_and_reaches_as_far_as_it_should(build: Build, loop: EventLoop, name: str) -> None:
    network = build(name)
    for node in network.topology.nodes:
        assert network[node].path.exists()
    for _, node, address in [case for case in REACHED if case[0] == name]:
        assert ping(loop, network[node].name, address) == 0, (node, address)
    for _, node, address in [case for case in UNREACHED if case[0] == name]:
        assert ping(loop, network[node].name, address, "-c1", "-W0.2") != 0, (node, address)


def bound(namespace: Namespace, address: str, port: int = SERVER_PORT) -> socket.socket:
    made = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(5)
    made.bind((address, port))
    return made


def test_a_nat_translates_and_answers_come_back(build: Build) -> None:
    network = build("site-to-site-nat")
    with bound(network["east"], "192.0.2.66") as client, bound(network["west"], "192.0.2.2") as server:
        client.sendto(b"out", ("192.0.2.2", SERVER_PORT))
        data, seen = server.recvfrom(99)
        assert data == b"out"
        assert seen[0] == "192.0.2.1"
        assert seen[1] in range(20000, 20500)
        server.sendto(b"back", seen)
        assert client.recv(99) == b"back"


def test_two_clients_of_a_nat_differ_in_their_ports(build: Build) -> None:
    network = build("two-clients-one-nat")
    with (
        bound(network["client-a"], "192.0.2.66") as first,
        bound(network["client-b"], "192.0.2.130") as second,
        bound(network["gateway"], "192.0.2.2") as server,
    ):
        seen = []
        for client in (first, second):
            client.sendto(b"hello", ("192.0.2.2", SERVER_PORT))
            seen.append(server.recvfrom(99)[1])
        assert {host for host, _ in seen} == {"192.0.2.1"}
        assert len({port for _, port in seen}) == 2


def test_a_nat_with_a_server_behind_it_lets_ike_in_and_nothing_else(build: Build, loop: EventLoop) -> None:
    network = build("nat-both-sides")
    with bound(network["client"], "192.0.2.66") as client, bound(network["gateway"], "192.0.2.130") as server:
        client.sendto(b"in", ("192.0.2.2", SERVER_PORT))
        seen = server.recvfrom(99)[1]
        assert seen[0] == "192.0.2.1"
        server.sendto(b"back", seen)
        assert client.recvfrom(99) == (b"back", ("192.0.2.2", SERVER_PORT))
        with bound(network["gateway"], "192.0.2.130", 4501) as other:
            client.sendto(b"in", ("192.0.2.2", 4501))
            other.settimeout(0.2)
            with pytest.raises(TimeoutError):
                other.recv(99)


def test_a_nat_that_forgets_gives_another_port(build: Build) -> None:
    network = build("forgetful-nat")
    with bound(network["client"], "192.0.2.66") as client, bound(network["gateway"], "192.0.2.2") as server:

        def port() -> int:
            client.sendto(b"hello", ("192.0.2.2", SERVER_PORT))
            return server.recvfrom(99)[1][1]

        before = port()
        assert port() == before
        network.forget("nat")
        after = port()
        assert before in range(20000, 20500)
        assert after in range(30000, 30500)
        server.sendto(b"lost", ("192.0.2.1", before))
        server.sendto(b"found", ("192.0.2.1", after))
        assert client.recv(99) == b"found"
        network.forget("nat")
        assert port() in range(20000, 20500)


def test_the_second_path_takes_over_and_gives_back(build: Build, loop: EventLoop) -> None:
    network = build("two-paths")
    for link, other in (("second", ""), ("first", "second"), ("second", "first")):
        if other:
            network.repair(other)
        network.fail(link)
        for address in ("192.0.2.2", "2001:db8::2"):
            assert ping(loop, network["left"].name, address) == 0, (link, address)
    network.fail("first")
    assert ping(loop, network["left"].name, "192.0.2.2", "-c1", "-W0.2") != 0


def test_a_bad_link_loses_what_it_says(build: Build, loop: EventLoop) -> None:
    network = build("bad-link")
    link = network.impaired["left-right"]
    ping(loop, network["left"].name, "192.0.2.2", "-c400", "-i0.005", "-q")
    fates = link.lanes[0].fates
    assert sum(fates[fate] for fate in (Fate.DELIVERED, Fate.LOST)) >= 400
    assert 15 <= fates[Fate.LOST] <= 70  # 40 of 400, six standard deviations are 36
    assert fates[Fate.OVERTOOK] >= 1
    assert fates[Fate.DUPLICATED] >= 1


def test_the_narrow_link_tells_its_mtu(build: Build, loop: EventLoop) -> None:
    network = build("narrow-path")
    left = network["left"].name
    assert ping(loop, left, "192.0.2.2", "-Mdo", "-s1272") == 0
    assert ping(loop, left, "192.0.2.2", "-c1", "-Mdo", "-s1273", "-W0.2") != 0
    assert ping(loop, left, "2001:db8:2::2", "-s1400") == 0  # the source fragments once it was told
