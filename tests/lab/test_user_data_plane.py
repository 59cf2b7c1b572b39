"""ping crosses two user-space data planes with ESP between them."""

import secrets
from contextlib import ExitStack

import pytest

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.suites import parse_suite
from ipsectest.crypto.ciphers import cipher
from ipsectest.crypto.integrities import integrity
from ipsectest.ipsec.drop import DropReason
from ipsectest.ipsec.gateway import Gateway
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.ipsec.spd import Selector
from ipsectest.net.data_plane import UserDataPlane
from ipsectest.net.loop import EventLoop
from ipsectest.net.socket_wire import SocketWire
from ipsectest.net.tun import TunDevice
from tests.lab.two_namespaces import joined, ping, require_lab

pytestmark = pytest.mark.lab

OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
INNER = {4: ("198.51.100.1", "203.0.113.1"), 6: ("2001:db8:a::1", "2001:db8:b::1")}
PREFIXES = {4: ("198.51.100.0/24", "203.0.113.0/24"), 6: ("2001:db8:a::/64", "2001:db8:b::/64")}


def one_way(suite: str, source: str, destination: str, ports: tuple[int, int] | None) -> list[dict]:
    """Arguments of one SA, with the selectors as the sender and as the receiver see them."""
    encryption, *rest = parse_suite(suite)
    integ = rest[0] if rest else None
    common = {
        "spi": secrets.token_bytes(4),
        "source": source,
        "destination": destination,
        "encryption": encryption,
        "encryption_key": secrets.token_bytes(cipher(encryption.id, encryption.key_length).keymat_length),
        "integrity": integ,
        "integrity_key": secrets.token_bytes(integrity(integ.id).key_length) if integ else b"",
        "udp_ports": ports,
    }
    return [common, dict(common)]


def gateways(suite: str, version: int, ports: tuple[int, int] | None) -> tuple[Gateway, Gateway]:
    left, right = OUTER[version]
    here = [Selector.between(*PREFIXES[v]) for v in (4, 6)]
    there = [Selector.between(*reversed(PREFIXES[v])) for v in (4, 6)]
    going, coming = one_way(suite, left, right, ports), one_way(suite, right, left, ports)
    gates = Gateway(), Gateway()
    gates[0].add(
        outbound=SecurityAssociation(**going[0], selectors=here),
        inbound=SecurityAssociation(**coming[0], selectors=here),
    )
    gates[1].add(
        outbound=SecurityAssociation(**coming[1], selectors=there),
        inbound=SecurityAssociation(**going[1], selectors=there),
    )
    return gates


class Lab:
    """Two planes in two namespaces, run by one loop."""

    def __init__(self, stack: ExitStack, suite: str, version: int, ports: tuple[int, int] | None) -> None:
        self.pair = stack.enter_context(joined())
        self.loop = stack.enter_context(EventLoop())
        self.planes = []
        for side, (name, gate) in enumerate(
            zip((self.pair.left, self.pair.right), gateways(suite, version, ports), strict=True)
        ):
            wire = SocketWire(name)
            stack.callback(wire.close)
            addresses = [f"{INNER[4][side]}/32", f"{INNER[6][side]}/128"]
            tun = TunDevice("esp0", name, addresses=addresses, routes=[PREFIXES[v][1 - side] for v in (4, 6)], mtu=1400)
            stack.callback(tun.close)
            plane = UserDataPlane(gate, tun, wire, secrets.token_bytes, owns_wire=True)
            self.planes.append(plane)
            self.loop.add(plane)

    def ping(self, destination: str, *options: str) -> int:
        return ping(self.loop, self.pair.left, destination, *options)


@pytest.mark.parametrize("ports", [None, (4500, 4500)], ids=["plain", "udp"])
@pytest.mark.parametrize("version", [4, 6], ids=["outer4", "outer6"])
@pytest.mark.parametrize("suite", ["aes128gcm16", "aes256-sha256", "chacha20poly1305"])
def test_ping_crosses_the_tunnel(suite: str, version: int, ports: tuple[int, int] | None) -> None:
    require_lab("ip", "ping")
    with ExitStack() as stack:
        lab = Lab(stack, suite, version, ports)
        for inner in (4, 6):
            assert lab.ping(INNER[inner][1], "-s", "1200") == 0
        for plane in lab.planes:
            assert plane.counters.packets_out >= 6
            assert plane.counters.packets_in >= 6
            assert plane.counters.refused == 0


def test_what_the_policy_does_not_know_is_dropped_and_garbage_does_no_harm() -> None:
    require_lab("ip", "ping")
    with ExitStack() as stack:
        lab = Lab(stack, "aes128gcm16", 4, (4500, 4500))
        # Another source address is outside the selectors.
        assert lab.ping(INNER[4][1], "-I", "192.0.2.1") == 1
        assert lab.planes[0].boundary.drops[DropReason.NO_SA] >= 3
        flood(lab.pair.left, "192.0.2.2")
        assert lab.ping(INNER[4][1]) == 0
        counters = lab.planes[1].counters
        assert counters.keepalives_received >= 1
        assert counters.dropped_in >= 100


def flood(namespace: str, host: str) -> None:
    """Octets of all sorts to port 4500, and as raw ESP."""
    wire = SocketWire(namespace, ports=(4600,))
    source = Address("192.0.2.1", 4600)
    for payload in (b"\xff", b"", b"\0\0\0\0", *(secrets.token_bytes(n) for n in range(1, 120))):
        assert wire.send(Datagram(payload, source, Address(host, 4500)), 0.0)
        assert wire.send(Datagram(payload, Address("192.0.2.1"), Address(host), 50), 0.0)
    wire.close()
