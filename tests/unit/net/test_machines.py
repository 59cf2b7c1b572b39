"""The driver of an endpoint and the data plane, on a wire and a device made of lists."""

import os
from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.suites import parse_suite
from ipsectest.ipsec.drop import DropReason
from ipsectest.ipsec.gateway import Gateway
from ipsectest.ipsec.inner import Echo, build_echo
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.net.data_plane import UserDataPlane, carries_esp
from ipsectest.net.packet_wire import icmp_error_of, layered_packet_of
from ipsectest.net.udp_driver import UdpDriver
from ipsectest.wire.datagrams import datagram_of, packet_of
from ipsectest.wire.ip import build_ip, parse_ip

US, PEER = Address("192.0.2.1", 4500), Address("192.0.2.2", 4500)
PING = build_echo(Echo("198.51.100.1", "203.0.113.1", 1, 1, b"data", is_reply=False))


class ListWire:
    def __init__(self) -> None:
        self.arriving: list[Datagram] = []
        self.sent: list[Datagram] = []
        self.works = True
        self.icmp_errors = deque()

    def handles(self) -> tuple[int, ...]:
        return (1001,)

    def receive(self, handle: int, now: float) -> list[Datagram]:
        assert (handle, now >= 0) == (1001, True)
        arrived, self.arriving = self.arriving, []
        return arrived

    def send(self, datagram: Datagram, now: float) -> bool:
        assert now >= 0
        self.sent.append(datagram)
        return self.works

    def close(self) -> None:
        self.works = False


class ListTun:
    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.written: list[bytes] = []
        self.works = True

    def fileno(self) -> int:
        return 1002

    def read(self) -> list[bytes]:
        packets, self.waiting = self.waiting, []
        return packets

    def write(self, packet: bytes) -> bool:
        self.written.append(packet)
        return self.works


def plane(ports: tuple[int, int] | None = (4500, 4500)) -> UserDataPlane:
    """A plane whose inbound SA opens what its outbound SA seals."""
    (cipher,) = parse_suite("aes128gcm16")
    values = {"spi": b"\xc0\0\0\1", "encryption": cipher, "encryption_key": bytes(20), "udp_ports": ports}
    gateway = Gateway()
    gateway.add(
        outbound=SecurityAssociation(**values, source=US.host, destination=PEER.host),
        inbound=SecurityAssociation(**values, source=PEER.host, destination=US.host),
    )
    return UserDataPlane(gateway, ListTun(), ListWire(), os.urandom, owns_wire=True)


def test_a_packet_goes_out_and_its_answer_comes_in() -> None:
    data_plane = plane()
    data_plane.tun.waiting = [PING, b"nonsense"]
    data_plane.readable(1002, 1.0)
    (sent,) = data_plane.wire.sent
    assert (sent.source, sent.destination, sent.protocol) == (US, PEER, 17)
    assert carries_esp(sent)
    data_plane.wire.arriving = [Datagram(sent.data, PEER, US), Datagram(sent.data, PEER, US)]
    data_plane.readable(1001, 1.1)
    assert data_plane.tun.written == [PING]
    counters = data_plane.counters
    assert (counters.packets_out, counters.octets_out, counters.dropped_out) == (1, len(PING), 1)
    assert (counters.packets_in, counters.octets_in, counters.dropped_in) == (1, len(PING), 1)


def test_what_the_machine_refuses_is_counted() -> None:
    data_plane = plane(None)
    data_plane.wire.works = data_plane.tun.works = False
    data_plane.send(PING, 1.0)
    (sent,) = data_plane.wire.sent
    assert sent.protocol == 50
    data_plane.receive(sent, 1.0)
    assert (data_plane.counters.refused, data_plane.counters.packets_in, data_plane.counters.packets_out) == (2, 0, 0)


def test_what_comes_before_its_sa_is_opened_when_the_sa_is_there() -> None:
    data_plane = plane()
    (inbound,) = [data_plane.boundary._inbound.pop(b"\xc0\0\0\1")]
    data_plane.send(PING, 1.0)
    esp = Datagram(data_plane.wire.sent[0].data, PEER, US)
    data_plane.hold(b"\xc0\0\0\1")
    data_plane.receive(esp, 1.0)
    data_plane.boundary.add(inbound=inbound)
    data_plane.release(b"\xc0\0\0\1")
    assert data_plane.tun.written == [PING]
    assert (data_plane.early.kept, data_plane.counters.dropped_in) == (1, 0)


def test_what_waits_for_an_sa_that_does_not_come_is_dropped_and_counted() -> None:
    data_plane = plane()
    data_plane.send(PING, 1.0)
    data_plane.hold(b"\xc0\0\0\2")
    data_plane.receive(Datagram(b"\xc0\0\0\2" + bytes(40), PEER, US), 2.0)
    assert data_plane.get_timer() == 7.0
    data_plane.handle_timer(7.0)
    assert data_plane.boundary.drops == {DropReason.UNKNOWN_SPI: 1}
    assert data_plane.get_timer() == 21.0  # the keepalive's
    assert len(data_plane.wire.sent) == 1


def test_keepalives_are_sent_after_an_idle_interval_only() -> None:
    data_plane = plane()
    assert data_plane.get_timer() is None
    data_plane.send(PING, 100.0)
    data_plane.send(PING, 105.0)
    assert data_plane.get_timer() == 125.0
    data_plane.handle_timer(124.0)
    assert len(data_plane.wire.sent) == 2
    data_plane.handle_timer(125.0)
    assert data_plane.wire.sent[2:] == [Datagram(b"\xff", US, PEER)]
    assert (data_plane.get_timer(), data_plane.counters.keepalives_sent) == (145.0, 1)
    data_plane.receive(Datagram(b"\xff", PEER, US), 126.0)
    assert (data_plane.counters.keepalives_received, data_plane.counters.dropped_in) == (1, 0)


@given(st.binary(max_size=100), st.sampled_from([17, 50]), st.sampled_from([500, 4500]))
@settings(deadline=None)
def test_garbage_does_not_disturb_the_plane(data: bytes, protocol: int, port: int) -> None:
    data_plane = plane()
    for octets in (data, b"\xc0\0\0\1" + data):
        datagram = Datagram(octets, Address("192.0.2.2", port), Address("192.0.2.1", port), protocol)
        data_plane.receive(datagram, 1.0)
    assert data_plane.tun.written == []
    data_plane.send(PING, 2.0)
    data_plane.receive(Datagram(data_plane.wire.sent[-1].data, PEER, US), 2.0)
    assert data_plane.tun.written == [PING]


class ScriptedEndpoint:
    """Answers each datagram with its reverse, and reports it as an event."""

    def __init__(self) -> None:
        self.outgoing: list[Datagram] = []
        self.events: list[str] = []
        self.timer: float | None = 5.0

    def receive_datagram(self, data: bytes, source: Address, destination: Address, now: float) -> None:
        self.outgoing.append(Datagram(data[::-1], destination, source))
        self.events += [f"{source} at {now}"]

    def datagrams_to_send(self, now: float) -> list[Datagram]:
        assert now > 0
        outgoing, self.outgoing = self.outgoing, []
        return outgoing

    def get_timer(self) -> float | None:
        return self.timer

    def handle_timer(self, now: float) -> None:
        self.timer = None
        self.outgoing.append(Datagram(f"retransmission at {now}".encode(), US, PEER))

    def next_event(self) -> str | None:
        return self.events.pop(0) if self.events else None


def test_the_driver_separates_ike_from_esp_and_sends_the_answers() -> None:
    data_plane, events = plane(), []
    driver = UdpDriver(ScriptedEndpoint(), data_plane.wire, events.append, data_plane)
    ike, on_500 = (
        Datagram(bytes(4) + b"ike", PEER, US),
        Datagram(b"abc", Address("192.0.2.2", 500), Address("192.0.2.1", 500)),
    )
    esp, raw = (
        Datagram(b"\xc0\0\0\2" + bytes(40), PEER, US),
        Datagram(bytes(40), Address("192.0.2.2"), Address("192.0.2.1"), 50),
    )
    driver.wire.arriving = [ike, esp, on_500, raw]
    seen, receive = [], data_plane.receive
    data_plane.receive = lambda datagram, now: (seen.append(len(events)), receive(datagram, now))
    driver.readable(1001, 3.0)
    assert seen == [1, 2]  # what IKE has brought about comes before the ESP behind it
    assert [d.data for d in driver.wire.sent] == [b"eki" + bytes(4), b"cba"]
    assert events == ["192.0.2.2:4500 at 3.0", "192.0.2.2:500 at 3.0"]
    assert data_plane.counters.dropped_in == 2
    assert data_plane.boundary.drops == {DropReason.UNKNOWN_SPI: 2}
    assert driver.get_timer() == 5.0
    driver.wire.works = False
    driver.handle_timer(5.0)
    assert (driver.get_timer(), driver.wire.sent[-1].data, driver.unsent) == (None, b"retransmission at 5.0", 1)


addresses = st.sampled_from([("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")])


@given(
    addresses, st.binary(min_size=1, max_size=80), st.sampled_from([500, 4500, 53, 61000]), st.sampled_from([17, 50])
)
@settings(deadline=None)
def test_packets_by_scapy_and_without_it_carry_the_same(
    hosts: tuple[str, str], data: bytes, port: int, protocol: int
) -> None:
    ports = (port, 500) if protocol == 17 else (0, 0)
    datagram = Datagram(data, Address(hosts[0], ports[0]), Address(hosts[1], ports[1]), protocol)
    for build in (packet_of, layered_packet_of):
        packet = build(datagram, 7)
        ip = parse_ip(packet)
        assert ip is not None
        assert datagram_of(packet, ip) == datagram


def test_ah_keeps_the_whole_packet() -> None:
    packet = build_ip(bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]), 51, bytes(24), identification=99)
    datagram = datagram_of(packet, parse_ip(packet))
    assert (datagram.data, datagram.protocol) == (packet, 51)
    assert packet_of(datagram) == layered_packet_of(datagram) == packet


@given(st.binary(max_size=80), st.sampled_from([1, 58]), st.sampled_from([3, 4, 1, 2, 8]))
def test_icmp_of_any_octets_is_an_error_or_none(data: bytes, protocol: int, kind: int) -> None:
    source = bytes([192, 0, 2, 1]) if protocol == 1 else bytes(16)
    for payload in (
        data,
        bytes([kind, 4]) + data,
        bytes([kind]) + bytes(7) + b"\x45" + data,
        bytes([kind]) + bytes(7) + b"\x60" + data,
    ):
        error = icmp_error_of(parse_ip(build_ip(source, source, protocol, payload)))
        assert error is None or error.type == payload[0]
