"""Our gateways in the shipped topologies: traffic of hosts behind them, NAT, rekeys under load, lost mappings."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from ipsectest.ike.config import suites
from ipsectest.ike.events import ChildInstalled, ChildRemoved, ExchangeDone, IkeClosed, IkeEstablished
from ipsectest.lab import Lab
from ipsectest.lab.topology import Network, Topology, realise, shipped
from ipsectest.net.loop import EventLoop
from ipsectest.runner.endpoints import configurations, running
from ipsectest.runner.gateway import LINGER, TunnelGateway
from tests.lab.background import pinging
from tests.lab.two_namespaces import ping, require_lab

pytestmark = pytest.mark.lab

ESP = suites("aes128gcm16-noesn")
SECRET = b"a secret for all of them"


class Tunnels:
    """A network with a tunnel from each initiator."""

    def __init__(self, loop: EventLoop, network: Network, gateways: dict[str, TunnelGateway]) -> None:
        self.loop = loop
        self.network = network
        self.gateways = gateways
        nodes = network.topology.nodes
        self.initiators = [name for name in gateways if nodes[name].endpoint.role == "initiator"]
        self.responder = next(gateways[name] for name in gateways if name not in self.initiators)

    def connect(self) -> None:
        for name in self.initiators:
            gateway = self.gateways[name]
            self.sa = gateway.initiate(gateway.endpoint.config.connections[0])
        count = len(self.initiators)
        done = self.loop.run_until(
            lambda: (
                self.responder.has(ChildInstalled, count)
                and all(self.gateways[name].has(ChildInstalled) for name in self.initiators)
            ),
            10,
        )
        assert done, [gateway.events for gateway in self.gateways.values()]

    def ping(self, node: str, address: str, *options: str) -> int:
        return ping(self.loop, self.network[node].name, address, *options)


Open = Callable[..., AbstractContextManager[Tunnels]]


@pytest.fixture
def tunnels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    require_lab("ip", "ping", "nft")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))

    @contextmanager
    def opened(name: str, ip: int = 4) -> Iterator[Tunnels]:
        topology = Topology.load(shipped()[name])
        with Lab() as lab, EventLoop() as loop:
            network = realise(lab, topology)
            network.join(loop)
            with running(loop, network, configurations(topology, SECRET, ip=ip, esp=ESP)) as gateways:
                yield Tunnels(loop, network, gateways)

    yield opened
    assert not list((tmp_path / "run").iterdir())


CROSSED = [
    ("host-to-host", 4, "left", "203.0.113.1", "198.51.100.1"),
    ("host-to-host", 6, "right", "198.51.100.1", "203.0.113.1"),
    ("host-to-host", 4, "left", "2001:db8:b::1", "2001:db8:a::1"),
    ("site-to-site", 4, "host-a", "203.0.113.2", ""),
    ("site-to-site", 4, "host-b", "2001:db8:a::2", ""),
    ("site-to-site", 6, "host-a", "203.0.113.2", ""),
    ("site-to-site", 6, "host-b", "2001:db8:a::2", ""),
    ("site-to-site-nat", 4, "host-a", "203.0.113.2", ""),
    ("site-to-site-nat", 4, "host-b", "2001:db8:a::2", ""),
    ("site-to-site-nat", 6, "host-b", "198.51.100.2", ""),
    ("road-warrior", 4, "client", "203.0.113.2", "198.51.100.1"),
    ("nat-both-sides", 4, "host", "198.51.100.1", ""),
    ("two-clients-one-nat", 4, "client-a", "203.0.113.2", "198.51.100.1"),
    ("two-clients-one-nat", 4, "host", "198.51.100.2", ""),
    ("hub-and-spoke", 4, "host-north", "203.0.113.2", ""),
    ("hub-and-spoke", 4, "host-north", "198.51.100.66", ""),
    ("hub-and-spoke", 6, "host-south", "2001:db8:a:2::2", ""),
    ("two-paths", 4, "left", "203.0.113.1", "198.51.100.1"),
    ("narrow-path", 6, "right", "198.51.100.1", "203.0.113.1"),
]


@pytest.mark.parametrize("case", CROSSED, ids=lambda case: "-".join(map(str, case)).rstrip("-"))
def test_traffic_crosses_only_with_a_tunnel(tunnels: Open, case: tuple[str, int, str, str, str]) -> None:
    name, ip, node, address, source = case
    options = ["-I", source] if source else []
    with tunnels(name, ip) as made:
        assert made.ping(node, address, *options, "-c1", "-W0.2") != 0
        made.connect()
        assert made.ping(node, address, *options) == 0
        assert made.responder.plane.counters.packets_in >= 3
        for gateway in made.gateways.values():
            assert gateway.plane.counters.dropped_in == 0


@pytest.mark.parametrize(("ip", "starter"), [(4, "east"), (4, "west"), (6, "east"), (6, "west")])
def test_rekeys_under_load_lose_no_packet(tunnels: Open, ip: int, starter: str) -> None:
    """Child SA, IKE SA and Child SA again are rekeyed by either end while the hosts ping through a NAT (IPv4)."""
    with tunnels("site-to-site-nat", ip) as made:
        made.connect()
        gateway, others = made.gateways[starter], list(made.gateways.values())
        with pinging(made.loop, made.network["host-a"].name, "203.0.113.2", 600, 0.005) as wait:
            for kind, count in ((ChildRemoved, 1), (IkeClosed, 1), (ChildRemoved, 2)):
                (sa,) = gateway.endpoint.sessions()
                now = made.loop.clock.now()
                if kind is ChildRemoved:
                    gateway.endpoint.rekey_child(next(iter(sa.children.values())), now)
                else:
                    gateway.endpoint.rekey_ike(sa, now)
                gateway.flush()
                assert made.loop.run_until(lambda k=kind, n=count: all(g.has(k, n) for g in others), 10)
                made.loop.run_until(lambda: False, 0.3)
            said = wait()
        assert re.search(r"600 packets transmitted, 600 received, 0% packet loss", said), said
        for each in others:
            assert each.has(IkeEstablished, 2)
            assert len(each.children.pairs) == 1
            assert each.plane.counters.dropped_in == 0
            assert made.loop.run_until(lambda g=each: g.children.get_timer() is None, 2 * LINGER)


def test_the_gateway_follows_a_client_whose_nat_forgets(tunnels: Open) -> None:
    with tunnels("forgetful-nat") as made:
        made.connect()
        (outbound,) = made.responder.gateway.tunnels()
        before = outbound.udp_ports[1]
        assert made.ping("host", "198.51.100.1") == 0
        made.network.forget("nat")
        assert made.ping("host", "198.51.100.1", "-c1", "-W0.2") != 0  # to the old port, where nobody is now
        assert made.ping("client", "203.0.113.2", "-I", "198.51.100.1") == 0
        assert outbound.udp_ports[1] in range(30000, 30500)
        assert before in range(20000, 20500)
        assert made.ping("host", "198.51.100.1") == 0
        (sa,) = made.responder.endpoint.sessions()
        made.responder.endpoint.liveness(sa, made.loop.clock.now())
        made.responder.flush()
        assert made.loop.run_until(lambda: made.responder.has(ExchangeDone), 2), "IKE does not follow ESP"


def test_the_tunnel_survives_the_loss_of_a_path(tunnels: Open) -> None:
    with tunnels("two-paths") as made:
        made.connect()
        for link, other in (("first", ""), ("second", "first")):
            if other:
                made.network.repair(other)
            made.network.fail(link)
            assert made.ping("left", "203.0.113.1", "-I", "198.51.100.1") == 0


def test_a_tunnel_comes_up_and_is_rekeyed_over_a_bad_link(tunnels: Open) -> None:
    with tunnels("bad-link") as made:
        made.connect()
        (gateway,) = (made.gateways[name] for name in made.initiators)
        gateway.endpoint.rekey_child(next(iter(made.sa.children.values())), made.loop.clock.now())
        gateway.flush()
        assert made.loop.run_until(lambda: all(g.has(ChildRemoved) for g in made.gateways.values()), 30)
        # Ten pings: that all are lost (each with 0.19 probability) would be a miracle.
        assert made.ping("left", "203.0.113.1", "-I", "198.51.100.1", "-c10") == 0
