"""Our endpoint at both ends in transport mode, with ESP in user space: without NAT, with one, with two of them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import NamedTuple

import pytest
from pyroute2 import IPRoute

from ipsectest.base.addresses import Address
from ipsectest.base.errors import LabError
from ipsectest.ike.config import ChildConfig, ConnectionConfig, EndpointConfig, Identity, Mode, SharedKey, suites
from ipsectest.ike.events import ChildInstalled, ChildRemoved, PeerMoved
from ipsectest.lab import Lab
from ipsectest.lab.topology import Network, Topology, realise, shipped
from ipsectest.net.loop import EventLoop
from ipsectest.runner.gateway import TunnelGateway
from ipsectest.wire import TrafficSelector
from tests.lab.transfer import transfer
from tests.lab.two_namespaces import joined, ping, require_lab

pytestmark = pytest.mark.lab

LENGTH = 200_000
_ETH_P_IP, _SO_RCVBUFFORCE = 0x0800, 33


class Host(NamedTuple):
    """A node, its address, and the one that the other end sees."""

    node: str
    own: str
    seen: str


class Hosts(NamedTuple):
    """Client and server of a topology."""

    topology: str
    client: Host
    server: Host


CASES = [
    Hosts("host-to-host", Host("left", "192.0.2.1", "192.0.2.1"), Host("right", "192.0.2.2", "192.0.2.2")),
    Hosts("host-to-host", Host("left", "2001:db8::1", "2001:db8::1"), Host("right", "2001:db8::2", "2001:db8::2")),
    Hosts("road-warrior", Host("client", "192.0.2.66", "192.0.2.1"), Host("gateway", "192.0.2.2", "192.0.2.2")),
    Hosts("nat-both-sides", Host("client", "192.0.2.66", "192.0.2.1"), Host("gateway", "192.0.2.130", "192.0.2.2")),
]


def configuration(here: Host, there: Host) -> EndpointConfig:
    child = ChildConfig(
        "hosts",
        (TrafficSelector.of(here.own),),
        (TrafficSelector.of(there.seen),),
        suites("aes128gcm16-noesn"),
        Mode.TRANSPORT,
    )
    secret = SharedKey(b"a secret of two hosts")
    names = Identity.of(f"{here.node}.example"), Identity.of(f"{there.node}.example")
    ends = Address(here.own, 500), Address(there.seen, 500)
    return EndpointConfig((here.own,), (ConnectionConfig("pair", *ends, *names, secret, secret, (child,)),))


@dataclass(frozen=True)
class Pair:
    """Both gateways at work, in their network."""

    loop: EventLoop
    network: Network
    hosts: Hosts
    client: TunnelGateway
    server: TunnelGateway

    def connect(self) -> None:
        """The client sets the Child SA up."""
        self.client.initiate(self.client.endpoint.config.connections[0])
        ends = self.client, self.server
        assert self.loop.run_until(lambda: all(end.has(ChildInstalled) for end in ends), 10), [e.events for e in ends]

    def cross(self) -> None:
        """Pings and octets by TCP, both ways."""
        for near, far in (self.hosts[1:], self.hosts[:0:-1]):
            source, target = self.network[near.node].name, self.network[far.node].name
            assert ping(self.loop, source, far.seen) == 0
            assert transfer(self.loop, (source, near.seen), (target, far.seen), LENGTH) == LENGTH
        for end in (self.client, self.server):
            assert end.plane.counters.octets_in > LENGTH
            assert end.plane.counters.dropped_in == 0


@pytest.fixture(params=CASES, ids=lambda hosts: f"{hosts.topology}-{hosts.client.own}")
def pair(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    require_lab("ip", "ping", "nft")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    with opened(request.param) as made:
        yield made
    assert not list((tmp_path / "run").iterdir())


@contextmanager
def opened(hosts: Hosts) -> Iterator[Pair]:
    with Lab() as lab, EventLoop() as loop:
        network = realise(lab, Topology.load(shipped()[hosts.topology]))
        gateways = []
        try:
            for here, there in (hosts[1:], hosts[:0:-1]):
                config, name = configuration(here, there), network[here.node].name
                gateways.append(TunnelGateway(loop, name, config, routes=[there.seen], transport=True))
            yield Pair(loop, network, hosts, *gateways)
        finally:
            for gateway in gateways:
                gateway.close()


def test_ping_and_tcp_cross_both_ways_and_a_rekey_keeps_it_so(pair: Pair) -> None:
    hosts = pair.hosts
    source = pair.network[hosts.client.node].name
    assert ping(pair.loop, source, hosts.server.seen, "-c1", "-W0.2") != 0  # nothing goes in clear
    pair.connect()
    pair.cross()
    natted = hosts.client.own != hosts.client.seen
    for sa in (one for ways in pair.server.children.pairs.values() for one in ways):
        assert (sa.mode.value, sa.udp_ports is not None, sa.real_addresses is not None) == (
            "transport",
            natted,
            natted and sa.source == hosts.client.seen,
        )
    (child,) = pair.server.endpoint.sessions()[0].children.values()
    pair.server.endpoint.rekey_child(child, pair.loop.clock.now())
    pair.server.flush()
    assert pair.loop.run_until(lambda: pair.client.has(ChildRemoved), 10)
    pair.cross()


def test_a_client_whose_nat_gets_another_address_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a rekey, and nothing leaves in clear (RFC 7296 sections 2.23 and 2.23.1)."""
    require_lab("ip", "ping", "nft")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    with opened(CASES[2]) as pair:
        pair.connect()
        pair.cross()
        nat, client, server = (pair.network[name] for name in ("nat", "client", "gateway"))
        with IPRoute(netns=nat.name) as route:
            wan = route.link_lookup(ifname="wan")[0]
            route.addr("del", index=wan, address="192.0.2.1", prefixlen=26)
            route.addr("add", index=wan, address="192.0.2.3", prefixlen=26)
        pair.network.forget("nat")
        ping(pair.loop, client.name, pair.hosts.server.seen, "-W0.3")  # the first one shows where the client is
        moved = [event for event in pair.server.events if isinstance(event, PeerMoved)]
        assert [event.new.host for event in moved] == ["192.0.2.3"]
        with server.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as seen:
            seen.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
            seen.bind(("wan", _ETH_P_IP))
            seen.setblocking(False)
            assert ping(pair.loop, client.name, pair.hosts.server.seen) == 0
            assert ping(pair.loop, server.name, "192.0.2.3") == 0
            assert not pair.server.has(ChildRemoved)
            # The client mends checksums of TCP by the address that the server has seen, which a rekey tells it.
            (child,) = pair.server.endpoint.sessions()[0].children.values()
            pair.server.endpoint.rekey_child(child, pair.loop.clock.now())
            pair.server.flush()
            assert pair.loop.run_until(lambda: pair.client.has(ChildRemoved), 10)
            assert transfer(pair.loop, (client.name, "192.0.2.3"), (server.name, "192.0.2.2"), LENGTH) == LENGTH
            assert set(protocols(seen)) == {socket.IPPROTO_UDP}


def protocols(seen: socket.socket) -> Iterator[int]:
    """Of the IPv4 packets that a packet socket has."""
    with suppress(BlockingIOError):
        while True:
            yield seen.recv(64)[9]


def test_closing_takes_the_rules_away_and_the_users_own_namespace_is_not_touched() -> None:
    require_lab()
    here, there = CASES[1][1:]
    with joined() as both, EventLoop() as loop:
        before = rules(both.left)
        gateway = TunnelGateway(loop, both.left, configuration(here, there), routes=[there.seen], transport=True)
        assert len(rules(both.left)) == len(before) + 1
        gateway.close()
        assert rules(both.left) == before
        with pytest.raises(LabError, match="namespace of its own"):
            TunnelGateway(loop, None, configuration(here, there), routes=[there.seen], transport=True)
        with pytest.raises(LabError, match="cannot lead"):
            TunnelGateway(loop, both.left, configuration(here, there), routes=["no host"], transport=True)
        assert rules(both.left) == before


def rules(namespace: str) -> list[tuple[int, int]]:
    """Family and priority of each."""
    with IPRoute(netns=namespace) as route:
        found = [rule for family in (AF_INET, AF_INET6) for rule in route.get_rules(family=family)]
        return [(rule["family"], rule.get_attr("FRA_PRIORITY") or 0) for rule in found]
