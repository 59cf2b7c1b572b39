"""A PacketWire against the kernel's own sockets in another namespace."""

import secrets
import socket
import time
from collections.abc import Iterator

import pytest

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.errors import LabError
from ipsectest.ipsec.inner import Echo, build_echo, parse_echo, reply_to
from ipsectest.net.inside import inside
from ipsectest.net.loop import EventLoop
from ipsectest.net.packet_wire import PacketWire
from ipsectest.net.wire import Direction
from tests.lab.two_namespaces import namespaces, require_lab

pytestmark = pytest.mark.lab

HOSTS = {4: ("192.0.2.7", "192.0.2.254"), 6: ("2001:db8::7", "2001:db8::fe")}


class Collector:
    """A machine that keeps what the wire receives."""

    def __init__(self, wire: PacketWire) -> None:
        self.wire = wire
        self.datagrams: list[Datagram] = []
        self.packets: list[tuple[Direction, bytes]] = []
        wire.tap = lambda _, direction, packet: self.packets.append((direction, packet))

    def handles(self) -> tuple[int, ...]:
        return tuple(self.wire.handles())

    def readable(self, handle: int, now: float) -> None:
        self.datagrams += self.wire.receive(handle, now)

    def get_timer(self) -> None:
        return None

    def handle_timer(self, now: float) -> None:
        raise AssertionError(f"no timer was set, called at {now}")


@pytest.fixture
def namespace() -> Iterator[str]:
    require_lab()
    with namespaces(1) as (name,):
        yield name


@pytest.fixture
def collector(namespace: str) -> Iterator[Collector]:
    wire = PacketWire(namespace)
    yield Collector(wire)
    wire.close()


def kernel_socket(namespace: str, version: int, port: int) -> socket.socket:
    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        made.bind(("", port))
        made.settimeout(5)
        return made

    return inside(namespace, make)


@pytest.mark.parametrize("size", [0, 1, 1400, 4000, 20000])
@pytest.mark.parametrize("version", [4, 6])
def test_datagrams_go_both_ways_in_fragments_if_need_be(
    namespace: str, collector: Collector, version: int, size: int
) -> None:
    tester, peer = HOSTS[version]
    payload = secrets.token_bytes(size)
    with kernel_socket(namespace, version, 500) as daemon, EventLoop() as loop:
        loop.add(collector)
        assert collector.wire.send(Datagram(payload, Address(tester, 33333), Address(peer, 500)), 0.0)
        data, sender = daemon.recvfrom(65535)
        assert (data, sender[:2]) == (payload, (tester, 33333))
        daemon.sendto(payload, sender)
        assert loop.run_until(lambda: bool(collector.datagrams), 5)
    assert collector.datagrams == [Datagram(payload, Address(peer, 500), Address(tester, 33333))]
    sent = [packet for direction, packet in collector.packets if direction is Direction.SENT]
    assert max(map(len, sent)) <= 1500
    assert (len(sent) > 1) == (size > 1452)


@pytest.mark.parametrize("version", [4, 6])
def test_testers_of_many_addresses_share_the_wire(namespace: str, collector: Collector, version: int) -> None:
    tester, peer = HOSTS[version]
    testers = [Address(f"{tester[:-1]}{n}", 4500) for n in range(1, 10)]
    with kernel_socket(namespace, version, 4500) as daemon, EventLoop() as loop:
        loop.add(collector)
        for address in testers:
            collector.wire.send(Datagram(address.host.encode(), address, Address(peer, 4500)), 0.0)
            data, sender = daemon.recvfrom(100)
            daemon.sendto(data, sender)
        assert loop.run_until(lambda: len(collector.datagrams) == len(testers), 5)
    assert [d.destination for d in collector.datagrams] == testers
    assert [d.data.decode() for d in collector.datagrams] == [a.host for a in testers]


@pytest.mark.parametrize("version", [4, 6])
def test_errors_of_the_peers_kernel_are_seen(collector: Collector, version: int) -> None:
    tester, peer = HOSTS[version]
    with EventLoop() as loop:
        loop.add(collector)
        collector.wire.send(Datagram(b"anyone?", Address(tester, 7777), Address(peer, 9)), 0.0)
        assert loop.run_until(lambda: bool(collector.wire.icmp_errors), 5)
    error = collector.wire.icmp_errors[0]
    assert (error.type, error.code) == ((3, 3) if version == 4 else (1, 4))  # port unreachable
    assert (error.reporter, error.source, error.destination) == (peer, Address(tester, 7777), Address(peer, 9))
    assert error.protocol == 17


@pytest.mark.parametrize("version", [4, 6])
def test_esp_reaches_a_raw_socket_and_comes_back(namespace: str, collector: Collector, version: int) -> None:
    tester, peer = HOSTS[version]
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    esp = secrets.token_bytes(2000)
    with inside(namespace, lambda: socket.socket(family, socket.SOCK_RAW, 50)) as raw, EventLoop() as loop:
        raw.settimeout(5)
        loop.add(collector)
        assert collector.wire.send(Datagram(esp, Address(tester), Address(peer), 50), 0.0)
        received = raw.recv(65535)
        assert received[20 if version == 4 else 0 :] == esp
        raw.sendto(esp, (tester, 0))
        assert loop.run_until(lambda: bool(collector.datagrams), 5)
    assert collector.datagrams == [Datagram(esp, Address(peer), Address(tester), 50)]


@pytest.mark.parametrize("version", [4, 6])
def test_any_packet_can_be_sent_as_it_is(collector: Collector, version: int) -> None:
    tester, peer = HOSTS[version]
    question = Echo(tester, peer, 1, 1, b"from nowhere", is_reply=False)

    def answers() -> list[Echo]:
        return [echo for _, packet in collector.packets if (echo := parse_echo(packet)) and echo.is_reply]

    with EventLoop() as loop:
        loop.add(collector)
        collector.wire.send_packet(build_echo(question), 0.0)
        assert loop.run_until(lambda: bool(answers()), 5)
    assert answers() == [reply_to(question)]


def test_a_missing_namespace_and_a_second_device_of_one_name_are_clear_errors(namespace: str) -> None:
    with pytest.raises(LabError, match="no network namespace ipsectest-nowhere"):
        PacketWire("ipsectest-nowhere")
    wire = PacketWire(namespace)
    with pytest.raises(LabError, match="cannot create TUN or TAP device tester0"):
        PacketWire(namespace)
    wire.close()
    PacketWire(namespace).close()


def test_a_packet_costs_little(namespace: str, collector: Collector) -> None:
    # Generous on purpose: the machine may be busy. Quiet, it is about a tenth of this.
    with kernel_socket(namespace, 4, 500) as daemon:
        datagram = Datagram(bytes(400), Address("192.0.2.7", 500), Address("192.0.2.254", 500))
        start = time.process_time()
        for _ in range(500):
            collector.wire.send(datagram, 0.0)
            data, sender = daemon.recvfrom(2000)
            daemon.sendto(data, sender)
            while not collector.datagrams:
                collector.readable(collector.handles()[0], 0.0)
            collector.datagrams.clear()
        assert (time.process_time() - start) / 1000 < 600e-6
