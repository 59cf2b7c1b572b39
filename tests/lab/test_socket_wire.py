"""Kernel sockets in a namespace: which address a datagram came to, and which one the answer leaves from."""

import pytest
from pyroute2 import IPRoute

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.errors import LabError
from ipsectest.net.socket_wire import SocketWire
from tests.lab.two_namespaces import joined, require_lab

pytestmark = pytest.mark.lab


def arrivals(wire: SocketWire, count: int) -> list[Datagram]:
    """Waits for them by select, two seconds at most each."""
    import select

    got: list[Datagram] = []
    while len(got) < count:
        ready, _, _ = select.select(wire.handles(), [], [], 2)
        assert ready, f"only {len(got)} of {count} datagrams came"
        got += [datagram for handle in ready for datagram in wire.receive(handle, 0.0)]
    return got


@pytest.mark.parametrize(("protocol", "port"), [(17, 500), (17, 4500), (50, 0)])
@pytest.mark.parametrize("hosts", [("192.0.2.1", "192.0.2.77"), ("2001:db8::1", "2001:db8::77")], ids=["4", "6"])
def test_answers_leave_from_the_address_that_was_asked(hosts: tuple[str, str], protocol: int, port: int) -> None:
    require_lab()
    with joined() as pair:
        with IPRoute(netns=pair.right) as route:
            index = route.link_lookup(ifname="veth0")[0]
            six = ":" in hosts[1]
            route.addr("add", index=index, address=hosts[1], prefixlen=64 if six else 24, flags=0x02 if six else 0)
        left, right = SocketWire(pair.left), SocketWire(pair.right)
        try:
            question = Datagram(b"to the second address", Address(hosts[0], port), Address(hosts[1], port), protocol)
            assert left.send(question, 0.0)
            assert arrivals(right, 1) == [question]
            answer = Datagram(b"from there", question.destination, question.source, protocol)
            assert right.send(answer, 0.0)
            assert arrivals(left, 1) == [answer]
            large = Datagram(bytes(9000), question.source, question.destination, protocol)
            assert left.send(large, 0.0)
            assert arrivals(right, 1) == [large]
        finally:
            left.close()
            right.close()


def test_taken_ports_and_foreign_addresses() -> None:
    require_lab()
    with joined() as pair:
        wire = SocketWire(pair.left)
        with pytest.raises(LabError, match="in use"):
            SocketWire(pair.left)
        there = Address("192.0.2.2", 500)
        assert not wire.send(Datagram(b"", Address("203.0.113.1", 500), there), 0.0)
        assert not wire.send(Datagram(b"", Address("192.0.2.1", 501), there), 0.0)
        wire.close()
        SocketWire(pair.left).close()
