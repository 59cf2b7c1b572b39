"""Two endpoints in two namespaces: a real handshake over sockets, then ping through what it negotiated."""

import secrets
from contextlib import ExitStack

import pytest
from two_namespaces import joined, ping, require_lab

from ipsectest.base.addresses import Address
from ipsectest.base.iana import TransformType
from ipsectest.ike.config import ChildConfig, ConnectionConfig, EndpointConfig, Identity, SharedKey, suites
from ipsectest.ike.endpoint import Endpoint
from ipsectest.ike.events import ChildInstalled, ChildRekeyed, ChildRemoved, Event
from ipsectest.ipsec.gateway import Gateway
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.ipsec.spd import Selector, TrafficRange
from ipsectest.net.data_plane import UserDataPlane
from ipsectest.net.loop import EventLoop
from ipsectest.net.socket_wire import SocketWire
from ipsectest.net.tun import TunDevice
from ipsectest.net.udp_driver import UdpDriver
from ipsectest.wire import TrafficSelector

pytestmark = pytest.mark.lab

OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
INNER = ("198.51.100.1", "203.0.113.1")
NETS = ("198.51.100.0/24", "203.0.113.0/24")
PSK = SharedKey(b"a secret for this test")


def one_way(event: ChildInstalled, *, outbound: bool) -> SecurityAssociation:
    child, keys = event.child, event.child.keys
    source, destination = (event.local, event.remote) if outbound else (event.remote, event.local)
    sides = [
        tuple(TrafficRange(t.start, t.end, t.protocol, t.start_port, t.end_port) for t in ts)
        for ts in (child.local_ts, child.remote_ts)
    ]
    return SecurityAssociation(
        spi=child.spi_out if outbound else child.spi_in,
        source=source.host,
        destination=destination.host,
        encryption=child.chosen.of(TransformType.ENCR),
        encryption_key=keys.encryption_out if outbound else keys.encryption_in,
        integrity=child.chosen.of(TransformType.INTEG),
        integrity_key=keys.integrity_out if outbound else keys.integrity_in,
        udp_ports=(source.port, destination.port) if event.udp_ports else None,
        esn=child.chosen.esn,
        selectors=(Selector(*sides),),
    )


class Node:
    """Endpoint, driver, gateway, data plane and TUN device of one side."""

    def __init__(self, stack: ExitStack, namespace: str, side: int, version: int, esp: str) -> None:
        order = slice(None, None, -1 if side else 1)
        (local, remote), (near, far) = OUTER[version][order], NETS[order]
        child = ChildConfig("net", (TrafficSelector.of(near),), (TrafficSelector.of(far),), suites(esp))
        self.connection = ConnectionConfig(
            "pair",
            Address(local, 500),
            Address(remote, 500),
            Identity.of(local),
            Identity.of(remote),
            PSK,
            PSK,
            (child,),
        )
        self.endpoint = Endpoint(EndpointConfig((local,), (self.connection,)), secrets.token_bytes)
        self.gateway = Gateway()
        self.sas: dict[bytes, tuple[SecurityAssociation, SecurityAssociation]] = {}
        self.events: list[Event] = []
        wire = SocketWire(namespace)
        stack.callback(wire.close)
        tun = TunDevice("esp0", namespace, addresses=[f"{INNER[side]}/32"], routes=[far], mtu=1400)
        stack.callback(tun.close)
        self.plane = UserDataPlane(self.gateway, tun, wire, secrets.token_bytes)
        self.driver = UdpDriver(self.endpoint, wire, self.follow, self.plane)

    def follow(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, ChildInstalled):
            pair = one_way(event, outbound=True), one_way(event, outbound=False)
            self.sas[event.child.spi_in] = pair
            self.gateway.add(outbound=pair[0], inbound=pair[1])
        elif isinstance(event, ChildRemoved):
            outbound, inbound = self.sas.pop(event.child.spi_in)
            self.gateway.remove(outbound=outbound, inbound=inbound)

    def has(self, kind: type[Event]) -> bool:
        return any(isinstance(event, kind) for event in self.events)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("esp", ["aes128gcm16-noesn", "aes256-sha256-esn", "chacha20poly1305-esn"])
def test_handshake_ping_rekey_ping(version: int, esp: str) -> None:
    require_lab("ip", "ping")
    with ExitStack() as stack:
        pair = stack.enter_context(joined())
        loop = stack.enter_context(EventLoop())
        nodes = [Node(stack, name, side, version, esp) for side, name in enumerate((pair.left, pair.right))]
        for node in nodes:
            loop.add(node.driver)
            loop.add(node.plane)
        left, right = nodes
        sa = left.endpoint.initiate(left.connection, loop.clock.now())
        left.driver.flush(loop.clock.now())
        assert loop.run_until(lambda: left.has(ChildInstalled) and right.has(ChildInstalled), 10), left.events
        assert ping(loop, pair.left, INNER[1]) == 0
        assert ping(loop, pair.right, INNER[0]) == 0
        left.endpoint.rekey_child(next(iter(sa.children.values())), loop.clock.now())
        left.driver.flush(loop.clock.now())
        assert loop.run_until(lambda: left.has(ChildRekeyed) and all(n.has(ChildRemoved) for n in nodes), 10)
        assert ping(loop, pair.left, INNER[1]) == 0
        for node in nodes:
            assert len(node.sas) == 1
            assert node.plane.counters.packets_in >= 9
            assert node.plane.counters.dropped_in == 0
