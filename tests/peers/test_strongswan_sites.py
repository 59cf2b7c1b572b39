"""Hosts behind two gateways, ours and strongSwan's, with a NAT between them: rekeys lose no packet."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from ipsectest.base.addresses import Address
from ipsectest.base.suites import parse_suite
from ipsectest.ike.config import suites
from ipsectest.ike.events import ChildInstalled, ChildRemoved, IkeClosed
from ipsectest.lab import Lab
from ipsectest.lab.hosts import NamespaceHost
from ipsectest.lab.topology import Network, Topology, realise, shipped
from ipsectest.net.impairment import Impairment
from ipsectest.net.loop import EventLoop
from ipsectest.peers import rootfs, table
from ipsectest.peers.credentials import Credentials
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.runner.endpoints import configurations, running
from ipsectest.runner.gateway import TunnelGateway
from ipsectest.scenario.ports import Identity, PeerSettings, Selector
from tests.lab.background import pinging
from tests.lab.two_namespaces import ping, require_lab
from tests.lab.withheld import withheld
from tests.unit.peers.settings import settings

pytestmark = [pytest.mark.lab, pytest.mark.peer]

SECRET = b"a secret of two sites"
IKE, ESP = "aes128gcm16-prfsha256-x25519", "aes128gcm16-noesn"
INTERVAL = 0.005


UNSTEADY = Impairment(delay=0.02, reorder=0.3, seed=7)
"""A packet in three overtakes some four others."""


class Sites:
    """Ours in the east behind the NAT, strongSwan in the west."""

    def __init__(self, stack: ExitStack, root: Path, impairment: Impairment | None) -> None:
        topology = Topology.load(shipped()["site-to-site-nat"])
        links = (replace(link, impairment=impairment if link.name == "nat-west" else None) for link in topology.links)
        topology = replace(topology, links=tuple(links))
        lab = stack.enter_context(Lab())
        self.loop = stack.enter_context(EventLoop())
        self.network: Network = realise(lab, topology)
        self.network.join(self.loop)
        self.peer = StrongSwan(NamespaceHost(lab, "west", self.network["west"], root), Credentials())
        self.peer.start()
        stack.callback(self.peer.stop)
        self.peer.configure(self.theirs())
        configs = configurations(topology, SECRET, ike=suites(IKE), esp=suites(ESP))
        gateways = stack.enter_context(running(self.loop, self.network, {"east": configs["east"]}))
        self.east: TunnelGateway = gateways["east"]

    def theirs(self) -> PeerSettings:
        return settings(
            1,
            local=Address("192.0.2.2", 500),
            remote=Address("192.0.2.1", 500),  # the NAT's outside
            local_id=Identity("fqdn", "west.example"),
            remote_id=Identity("fqdn", "east.example"),
            secret=SECRET,
            ike=(parse_suite(IKE),),
            esp=(parse_suite(ESP),),
            local_ts=(Selector("203.0.113.0", "203.0.113.255"),),
            remote_ts=(Selector("198.51.100.0", "198.51.100.255"),),
        )

    def connect(self) -> None:
        self.east.initiate(self.east.endpoint.config.connections[0])
        assert self.loop.run_until(lambda: self.east.has(ChildInstalled), 10), self.peer.log(self.theirs())
        west = self.network["west"].name
        # strongSwan installs its side a moment after it has answered.
        assert any(ping(self.loop, west, "198.51.100.2", "-I", "203.0.113.1", "-W0.5") == 0 for _ in range(5))

    def rekey(self, kind: type[ChildRemoved | IkeClosed], count: int) -> None:
        """Rekey the Child SA or the IKE SA and see the old one go; ``count`` of that kind were rekeyed with it."""
        (sa,) = self.east.endpoint.sessions()
        now = self.loop.clock.now()
        if kind is ChildRemoved:
            self.east.endpoint.rekey_child(next(iter(sa.children.values())), now)
        else:
            self.east.endpoint.rekey_ike(sa, now)
        self.east.flush()
        assert self.loop.run_until(lambda: self.east.has(kind, count), 10), self.east.events[-9:]


@pytest.fixture
def impairment() -> Impairment | None:
    """Of the path between NAT and west."""
    return None


@pytest.fixture
def sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, impairment: Impairment | None) -> Iterator[Sites]:
    require_lab("ip", "ping", "nft")
    found = rootfs.find(table.parse("strongswan"))
    if found is None:
        pytest.skip("ipsectest peers install strongswan")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    with ExitStack() as stack:
        yield Sites(stack, found.root, impairment)


@pytest.mark.parametrize(
    ("seconds", "impairment"),
    [(5, None), (5, UNSTEADY), pytest.param(60, None, marks=pytest.mark.slow)],
    ids=["steady", "unsteady", "long"],
)
def test_rekeys_with_strongswan_lose_no_packet(sites: Sites, seconds: int) -> None:
    """Every second a rekey, of the Child SA and of the IKE SA in turn, while a host pings 200 times a second."""
    sites.connect()
    count = round(seconds / INTERVAL)
    namespace = sites.network["host-a"].name
    with pinging(sites.loop, namespace, "203.0.113.2", count, INTERVAL) as wait:
        for number in range(max(2, seconds - 1)):
            sites.rekey((ChildRemoved, IkeClosed)[number % 2], number // 2 + 1)
            sites.loop.run_until(lambda: False, 0.9)
        said = wait()
    assert re.search(rf"{count} packets transmitted, {count} received, 0% packet loss", said), said
    assert sites.east.plane.counters.dropped_in == 0
    (outbound,) = sites.east.gateway.tunnels()
    assert outbound.udp_ports == (4500, 4500)


def test_what_strongswan_sends_before_we_have_read_its_ike_auth_waits(sites: Sites) -> None:
    east = sites.east
    with pinging(sites.loop, sites.network["host-b"].name, "198.51.100.2", 200, INTERVAL) as wait:
        with withheld(east) as ike:
            east.initiate(east.endpoint.config.connections[0])
            assert sites.loop.run_until(lambda: ike, 10)
            init = ike.pop()
            east.endpoint.receive_datagram(init.data, init.source, init.destination, sites.loop.clock.now())
            east.flush()
            assert sites.loop.run_until(lambda: east.plane.early.kept >= 20, 10)
            assert len(ike) == 1
            assert not east.has(ChildInstalled)
        assert east.has(ChildInstalled)
        kept, counters = east.plane.early.kept, east.plane.counters
        assert counters.packets_in == kept
        found = re.search(r"(\d+) received", wait())
    assert found
    assert int(found[1]) == counters.packets_in > kept
    assert (counters.dropped_in, east.plane.early.refused) == (0, 0)
