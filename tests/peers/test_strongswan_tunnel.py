"""ping between our gateway and strongSwan's through ESP in user space on both sides."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipsectest.ike.events import ChildInstalled, ChildRemoved
from ipsectest.scenario.ports import PeerRequest, Verb
from tests.lab.node import Node
from tests.lab.two_namespaces import ping, require_lab
from tests.peers.gateways import OURS, THEIRS, Gateways, case, is_installed, joined_gateways

pytestmark = [pytest.mark.lab, pytest.mark.peer]


@pytest.fixture
def gateways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateways]:
    require_lab("ip", "ping")
    if not is_installed():
        pytest.skip("ipsectest peers install strongswan")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    with joined_gateways() as made:
        yield made


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
    gateways.cross(node)
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
