"""Two endpoints in two namespaces: a real handshake over sockets, then ping through what it negotiated."""

from contextlib import ExitStack

import pytest

from ipsectest.base.addresses import Address
from ipsectest.ike.config import ChildConfig, ConnectionConfig, Identity, SharedKey, suites
from ipsectest.ike.events import ChildInstalled, ChildRekeyed, ChildRemoved
from ipsectest.net.loop import EventLoop
from ipsectest.wire import TrafficSelector
from tests.lab.node import Node
from tests.lab.two_namespaces import joined, ping, require_lab

pytestmark = pytest.mark.lab

OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
INNER = ("198.51.100.1", "203.0.113.1")
NETS = ("198.51.100.0/24", "203.0.113.0/24")
PSK = SharedKey(b"a secret for this test")


def connection(side: int, version: int, esp: str) -> ConnectionConfig:
    (local, remote), (near, far) = (pair[:: -1 if side else 1] for pair in (OUTER[version], NETS))
    child = ChildConfig("net", (TrafficSelector.of(near),), (TrafficSelector.of(far),), suites(esp))
    ends = Address(local, 500), Address(remote, 500), Identity.of(local), Identity.of(remote)
    return ConnectionConfig("pair", *ends, PSK, PSK, (child,))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("esp", ["aes128gcm16-noesn", "aes256-sha256-esn", "chacha20poly1305-esn"])
def test_handshake_ping_rekey_ping(version: int, esp: str) -> None:
    require_lab("ip", "ping")
    with ExitStack() as stack:
        pair = stack.enter_context(joined())
        loop = stack.enter_context(EventLoop())
        nodes = [
            Node(stack, loop, name, connection(side, version, esp), inner=f"{INNER[side]}/32", far=NETS[1 - side])
            for side, name in enumerate((pair.left, pair.right))
        ]
        left, right = nodes
        sa = left.endpoint.initiate(left.connection, loop.clock.now())
        left.flush()
        assert loop.run_until(lambda: left.has(ChildInstalled) and right.has(ChildInstalled), 10), left.events
        assert ping(loop, pair.left, INNER[1]) == 0
        assert ping(loop, pair.right, INNER[0]) == 0
        left.endpoint.rekey_child(next(iter(sa.children.values())), loop.clock.now())
        left.flush()
        assert loop.run_until(lambda: left.has(ChildRekeyed) and all(n.has(ChildRemoved) for n in nodes), 10)
        assert ping(loop, pair.left, INNER[1]) == 0
        for node in nodes:
            assert len(node.sas) == 1
            # ping(8) may have given up on an answer that a slow machine brings later.
            assert loop.run_until(lambda node=node: node.plane.counters.packets_in >= 9, 10)
            assert node.plane.counters.dropped_in == 0
