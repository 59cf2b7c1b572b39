"""ping between our gateway and strongSwan's through ESP in user space on both sides."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from ipsectest.base.addresses import Address
from ipsectest.base.suites import parse_suite
from ipsectest.ike.config import ChildConfig, ConnectionConfig, Identity, SharedKey
from ipsectest.ike.events import ChildInstalled, ChildRemoved
from ipsectest.lab import Lab
from ipsectest.lab.hosts import NamespaceHost
from ipsectest.lab.topology import pair
from ipsectest.net.loop import EventLoop
from ipsectest.peers import rootfs, table
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.scenario.ports import PeerRequest, PeerSettings, Verb
from ipsectest.wire import TrafficSelector
from tests.lab.node import Node
from tests.lab.two_namespaces import ping, require_lab
from tests.unit.peers.settings import settings

pytestmark = [pytest.mark.lab, pytest.mark.peer]

OURS, THEIRS = "198.51.100.1", "203.0.113.1"


@dataclass
class Gateways:
    """Ours on the left, strongSwan on the right."""

    stack: ExitStack
    loop: EventLoop
    left: str
    right: str
    peer: StrongSwan

    def node(self, given: PeerSettings) -> Node:
        self.peer.configure(given)
        child = ChildConfig("net", (TrafficSelector.of(OURS),), (TrafficSelector.of(THEIRS),), given.esp)
        psk = SharedKey(given.secret)
        connection = ConnectionConfig(
            "strongswan",
            given.remote,
            given.local,
            Identity.of(given.remote_id.value),
            Identity.of(given.local_id.value),
            psk,
            psk,
            (child,),
            given.ike,
        )
        return Node(self.stack, self.loop, self.left, connection, inner=f"{OURS}/32", far=f"{THEIRS}/32")


@pytest.fixture
def gateways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateways]:
    require_lab("ip", "ping")
    tree = rootfs.find(table.parse("strongswan"))
    if tree is None:
        pytest.skip("ipsectest peers install strongswan")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    with ExitStack() as stack:
        lab = stack.enter_context(Lab())
        net = pair(lab)
        net.right.add_addresses("lo", f"{THEIRS}/32")
        peer = StrongSwan(NamespaceHost(lab, "right", net.right, tree.root))
        peer.start()
        stack.callback(peer.stop)
        loop = stack.enter_context(EventLoop())
        yield Gateways(stack, loop, net.left.name, net.right.name, peer)


def case(esp: str, *, encapsulated: bool = False, six: bool = False) -> PeerSettings:
    hosts = ("2001:db8:0:2::2", "2001:db8:0:2::1") if six else ("192.0.2.2", "192.0.2.1")
    return settings(
        1,
        local=Address(hosts[0], 500),
        remote=Address(hosts[1], 500),
        esp=(parse_suite(esp),),
        force_encapsulation=encapsulated,
    )


CASES = [
    ("aes128gcm16", False, False),
    ("aes256-sha256", False, False),
    ("chacha20poly1305", False, False),
    ("aes128gcm16", True, False),
    ("aes256-sha256", True, False),
    ("aes128gcm16", False, True),
]


@pytest.mark.parametrize(("esp", "encapsulated", "six"), CASES)
def test_our_initiator_and_their_responder(gateways: Gateways, esp: str, encapsulated: bool, six: bool) -> None:
    node = gateways.node(case(esp, encapsulated=encapsulated, six=six))
    sa = node.endpoint.initiate(node.connection, gateways.loop.clock.now())
    node.flush()
    assert gateways.loop.run_until(lambda: node.has(ChildInstalled), 10), node.events
    cross(gateways, node, encapsulated=encapsulated)
    node.endpoint.rekey_child(next(iter(sa.children.values())), gateways.loop.clock.now())
    node.flush()
    assert gateways.loop.run_until(lambda: node.has(ChildRemoved), 10), node.events
    cross(gateways, node, encapsulated=encapsulated)


@pytest.mark.parametrize(("esp", "encapsulated", "six"), CASES)
def test_their_initiator_and_our_responder(gateways: Gateways, esp: str, encapsulated: bool, six: bool) -> None:
    given = case(esp, encapsulated=encapsulated, six=six)
    node = gateways.node(given)
    gateways.peer.perform(PeerRequest(1, Verb.INITIATE, given))
    assert gateways.loop.run_until(lambda: node.has(ChildInstalled), 10), gateways.peer.log(given)
    cross(gateways, node, encapsulated=encapsulated)


def cross(gateways: Gateways, node: Node, *, encapsulated: bool) -> None:
    """Three pings each way; all of them as ESP of the kind that was asked for."""
    before = node.plane.counters.packets_in
    assert ping(gateways.loop, gateways.left, THEIRS, "-I", OURS) == 0
    assert ping(gateways.loop, gateways.right, OURS, "-I", THEIRS) == 0
    assert node.plane.counters.packets_in == before + 6
    assert node.plane.counters.dropped_in == 0
    ((outbound, _),) = node.sas.values()
    assert bool(outbound.udp_ports) is encapsulated


def test_nothing_leaks_past_the_tunnel(gateways: Gateways) -> None:
    """Without a Child SA there is no way through: neither end answers in clear."""
    gateways.node(case("aes128gcm16"))
    assert ping(gateways.loop, gateways.left, THEIRS, "-I", OURS, "-W0.2") == 1
    shown = subprocess.run(
        ["ip", "netns", "exec", gateways.right, "ip", "route"], capture_output=True, check=True, timeout=5, text=True
    )
    assert OURS not in shown.stdout
