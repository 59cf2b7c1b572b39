"""SPD, selectors and the boundary around the SAs (RFC 4301 sections 4.4.1 and 5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.addresses import Address, Datagram
from ipsectest.ipsec.drop import Drop, DropReason
from ipsectest.ipsec.gateway import Gateway, open_datagram, seal_datagram
from ipsectest.ipsec.inner import Echo, UdpPacket, build_echo, build_udp_packet, parse_echo, parse_udp_packet, reply_to
from ipsectest.ipsec.packets import Unprotected
from ipsectest.ipsec.spd import OPAQUE_PORT, Action, Flow, PolicyEntry, Selector, TrafficRange, lookup
from ipsectest.wire.ip import build_ipv4, parse_ip
from tests.unit.ipsec.sas import SPI, ends, seeded

HERE, THERE = "198.51.100.0/24", "203.0.113.0/24"
NET = Selector.between(HERE, THERE)


def udp(source: str = "198.51.100.1", destination: str = "203.0.113.1", port: int = 53) -> bytes:
    return build_udp_packet(UdpPacket(source, 40000, destination, port, b"query"))


def outbound(packet: bytes) -> Flow:
    return Flow.of(parse_ip(packet), inbound=False)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("198.51.100.0/24", "198.51.100.255", "198.51.101.0"),
        ("192.0.2.4-192.0.2.9", "192.0.2.4", "192.0.2.10"),
        ("192.0.2.4", "192.0.2.4", "192.0.2.5"),
        ("2001:db8::/64", "2001:db8::ffff", "192.0.2.1"),
    ],
)
def test_ranges_of_addresses(text: str, inside: str, outside: str) -> None:
    from ipaddress import ip_address

    wanted = TrafficRange.of(text)
    assert wanted.contains(ip_address(inside).packed, 17, 1)
    assert not wanted.contains(ip_address(outside).packed, 17, 1)


@pytest.mark.parametrize("text", ["", "192.0.2.9-192.0.2.1", "192.0.2.1-2001:db8::1", "300.0.0.0/8"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        TrafficRange.of(text)


def test_protocol_and_ports_decide() -> None:
    dns = Selector((TrafficRange.of(HERE, 17),), (TrafficRange.of(THERE, 17, (53, 53)),))
    assert dns.matches(outbound(udp()))
    assert not dns.matches(outbound(udp(port=54)))
    assert not dns.matches(outbound(build_echo(Echo("198.51.100.1", "203.0.113.1", 1, 1, b"", is_reply=False))))
    answer = parse_ip(build_udp_packet(UdpPacket("203.0.113.1", 53, "198.51.100.1", 40000, b"")))
    assert dns.matches(Flow.of(answer, inbound=True))
    assert not dns.matches(Flow.of(answer, inbound=False))


def test_icmp_type_and_code_are_one_number() -> None:
    # RFC 4301 section 4.4.1.1: echo request only, type 8 code 0.
    ports = (8 << 8, (8 << 8) + 255)
    echo = Selector((TrafficRange.of(HERE, 1, ports),), (TrafficRange.of(THERE, 1, ports),))
    request = Echo("198.51.100.1", "203.0.113.1", 1, 1, b"", is_reply=False)
    assert echo.matches(outbound(build_echo(request)))
    assert not echo.matches(outbound(build_echo(Echo("198.51.100.1", "203.0.113.1", 1, 1, b"", is_reply=True))))


def test_later_fragments_match_any_port_and_opaque_only() -> None:
    source, destination = bytes([198, 51, 100, 1]), bytes([203, 0, 113, 1])
    later = outbound(build_ipv4(source, destination, 17, bytes(16), flags_and_offset=5))
    for ports, expected in (((0, 65535), True), ((53, 53), False), (OPAQUE_PORT, True)):
        selector = Selector((TrafficRange.of(HERE, 17),), (TrafficRange.of(THERE, 17, ports),))
        assert selector.matches(later) is expected
    whole = Selector((TrafficRange.of(HERE, 17),), (TrafficRange.of(THERE, 17, OPAQUE_PORT),))
    assert not whole.matches(outbound(udp()))


def test_the_lowest_priority_number_decides_and_order_breaks_ties() -> None:
    everything = Selector.between("0.0.0.0/0", "0.0.0.0/0")
    entries = [
        PolicyEntry(everything, Action.DISCARD, 10, "last"),
        PolicyEntry(NET, Action.PROTECT, 5, "net"),
        PolicyEntry(NET, Action.BYPASS, 5, "shadowed"),
    ]
    assert lookup(entries, outbound(udp())).name == "net"
    assert lookup(entries, outbound(udp("192.0.2.1"))).name == "last"
    assert lookup(entries[1:], outbound(udp("192.0.2.1"))) is None


def gateway(policies: list[PolicyEntry] | None = None) -> tuple[Gateway, Gateway]:
    back = Selector.between(THERE, HERE)
    ours, theirs = Gateway(policies or ()), Gateway()
    out, peer_in = ends("aes128gcm16", udp_ports=(4500, 4500))
    peer_out, into = ends("aes128-sha256", spi=b"\xc0\0\0\x09", source="192.0.2.2", destination="192.0.2.1")
    out.selectors = into.selectors = (NET,)
    peer_in.selectors = peer_out.selectors = (back,)
    ours.add(outbound=out, inbound=into)
    theirs.add(outbound=peer_out, inbound=peer_in)
    return ours, theirs


def test_a_datagram_says_how_it_travels() -> None:
    ours, theirs = gateway()
    sent = ours.outbound(udp(), seeded(1))
    assert isinstance(sent, Datagram)
    assert (sent.protocol, sent.source, sent.destination) == (
        17,
        Address("192.0.2.1", 4500),
        Address("192.0.2.2", 4500),
    )
    assert theirs.inbound(sent) == Unprotected(udp(), 1)
    answer = theirs.outbound(udp("203.0.113.1", "198.51.100.1"), seeded(2))
    assert (answer.protocol, answer.source) == (50, Address("192.0.2.2"))
    assert ours.open(answer) == udp("203.0.113.1", "198.51.100.1")
    assert ours.keepalives() == [Datagram(b"\xff", Address("192.0.2.1", 4500), Address("192.0.2.2", 4500))]
    assert theirs.keepalives() == []


def test_every_drop_has_its_reason() -> None:
    ours, theirs = gateway()
    assert ours.outbound(udp("192.0.2.1"), seeded(1)) == Drop(DropReason.NO_SA)
    assert ours.outbound(b"", seeded(1)) == Drop(DropReason.NOT_IP)
    assert ours.seal(b"", seeded(1)) is None
    host = Address("192.0.2.2", 4500)
    for data, protocol, reason in (
        (b"\xff", 17, DropReason.NAT_KEEPALIVE),
        (bytes(40), 17, DropReason.IKE_MESSAGE),
        (SPI + bytes(40), 17, DropReason.UNKNOWN_SPI),
        (b"x", 50, DropReason.UNKNOWN_SPI),
        (bytes(40), 51, DropReason.UNKNOWN_SPI),
        (bytes(40), 6, DropReason.NOT_IPSEC),
    ):
        assert ours.inbound(Datagram(data, host, host, protocol)).reason is reason
    assert ours.drops[DropReason.UNKNOWN_SPI] == 3
    assert theirs.drops == {}


def test_an_inner_packet_outside_the_selectors_is_dropped_although_authentic() -> None:
    # RFC 4301 section 5.2: the check after decapsulation.
    ours, theirs = gateway()
    (peer_out,) = theirs.tunnels()
    forged = seal_datagram(peer_out, udp("203.0.113.1", "192.0.2.99"), seeded(1))
    assert ours.inbound(forged).reason is DropReason.SELECTOR_MISMATCH


def test_the_newest_of_two_tunnels_carries_the_traffic_and_both_receive() -> None:
    ours, theirs = gateway()
    (old,) = ours.tunnels()
    new_out, new_peer_in = ends("chacha20poly1305", spi=b"\xc0\0\0\x77")
    new_peer_out, new_in = ends("chacha20poly1305", spi=b"\xc0\0\0\x78")
    ours.add(outbound=new_out, inbound=new_in)
    theirs.add(outbound=new_peer_out, inbound=new_peer_in)
    assert ours.outbound(udp(), seeded(1)).data[:4] == b"\xc0\0\0\x77"
    late = seal_datagram(old, udp(), seeded(1))
    assert isinstance(theirs.inbound(late), Unprotected)
    theirs.remove(inbound=new_peer_in)
    ours.remove(outbound=new_out)
    assert theirs.inbound(ours.outbound(udp(), seeded(2))).sequence == 2


def test_a_flow_looks_at_the_selectors_once_until_the_sas_change() -> None:
    ours, _theirs = gateway()
    asked: list[Flow] = []

    class Asked(Selector):
        def matches(self, flow: Flow) -> bool:
            asked.append(flow)
            return super().matches(flow)

    (sa,) = ours.tunnels()
    sa.selectors = (Asked(NET.local, NET.remote),)
    for _ in range(3):
        assert isinstance(ours.outbound(udp(), seeded(1)), Datagram)
    assert len(asked) == 1
    ours.remove(outbound=sa)
    assert isinstance(ours.outbound(udp(), seeded(1)), Drop)
    ours.add(outbound=sa)
    assert isinstance(ours.outbound(udp(), seeded(1)), Datagram)
    assert len(asked) == 2


def test_any_number_of_flows_is_carried_in_bounded_memory() -> None:
    ours, _theirs = gateway()
    for port in range(10_000):
        assert isinstance(ours.outbound(udp(port=port), seeded(1)), Datagram)
    assert len(ours._flows) <= 4096


def test_policy_bypasses_discards_and_refuses_clear_traffic() -> None:
    bypass = Selector.between("0.0.0.0/0", "192.0.2.0/24")
    entries = [PolicyEntry(NET, Action.PROTECT), PolicyEntry(bypass, Action.BYPASS)]
    ours, _ = gateway(entries)
    assert ours.outbound(udp(destination="192.0.2.9"), seeded(1)) == udp(destination="192.0.2.9")
    assert ours.outbound(udp("192.0.2.9", "203.0.113.1"), seeded(1)) == Drop(DropReason.POLICY_DISCARD)
    coming = udp("203.0.113.1", "198.51.100.1")
    assert ours.inbound_clear(coming) == Drop(DropReason.UNPROTECTED)
    assert ours.inbound_clear(udp("192.0.2.1", "198.51.100.1")) == udp("192.0.2.1", "198.51.100.1")
    assert ours.inbound_clear(udp("203.0.113.1", "192.0.2.7")) == Drop(DropReason.POLICY_DISCARD)
    assert ours.inbound_clear(b"E") == Drop(DropReason.NOT_IP)


def test_an_exhausted_sa_sends_nothing_more() -> None:
    ours, _ = gateway()
    (tunnel,) = ours.tunnels()
    tunnel.sent = (1 << 32) - 1
    assert ours.outbound(udp(), seeded(1)).reason is DropReason.SEQUENCE_EXHAUSTED
    assert tunnel.drops == {DropReason.SEQUENCE_EXHAUSTED: 1}


@given(st.binary(max_size=150), st.sampled_from([17, 50, 51, 6]))
def test_no_datagram_raises(data: bytes, protocol: int) -> None:
    ours, _ = gateway()
    host = Address("192.0.2.2", 4500)
    for octets in (data, b"\xc0\0\0\x09" + data):
        datagram = Datagram(octets, host, host, protocol)
        assert isinstance(ours.inbound(datagram), Drop)
        assert isinstance(open_datagram(ours.tunnels()[0], datagram), Drop)
        ours.outbound(octets, seeded(1))
        ours.inbound_clear(octets)


@given(st.binary(max_size=100), st.booleans(), st.integers(0, 65535), st.integers(0, 65535))
def test_inner_packets_are_what_scapy_says_they_are(data: bytes, six: bool, identifier: int, sequence: int) -> None:
    from scapy.layers.inet import ICMP, IP, UDP
    from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6

    hosts = ("2001:db8:1::1", "2001:db8:2::1") if six else ("198.51.100.1", "203.0.113.1")
    ip = IPv6(src=hosts[0], dst=hosts[1]) if six else IP(src=hosts[0], dst=hosts[1], id=0)
    echo = Echo(*hosts, identifier, sequence, data, is_reply=False)
    layer = ICMPv6EchoRequest(id=identifier, seq=sequence) if six else ICMP(id=identifier, seq=sequence)
    assert build_echo(echo) == bytes(ip / layer / data)
    assert parse_echo(build_echo(echo)) == echo
    reply = reply_to(echo)
    assert parse_echo(build_echo(reply)) == Echo(hosts[1], hosts[0], identifier, sequence, data, is_reply=True)
    answer = ICMPv6EchoReply(id=identifier, seq=sequence) if six else ICMP(type=0, id=identifier, seq=sequence)
    back = IPv6(src=hosts[1], dst=hosts[0]) if six else IP(src=hosts[1], dst=hosts[0], id=0)
    assert build_echo(reply) == bytes(back / answer / data)
    datagram = UdpPacket(hosts[0], identifier, hosts[1], sequence, data)
    assert build_udp_packet(datagram) == bytes(ip / UDP(sport=identifier, dport=sequence) / (data or b""))
    assert parse_udp_packet(build_udp_packet(datagram)) == datagram


@given(st.binary(max_size=100))
def test_no_octets_disturb_the_inner_parsers(data: bytes) -> None:
    for octets in (data, build_ipv4(bytes(4), bytes(4), 1, data), build_ipv4(bytes(4), bytes(4), 17, data)):
        parse_udp_packet(octets)
        echo = parse_echo(octets)
        assert echo is None or build_echo(echo)[-len(echo.data) :] == octets[-len(echo.data) :]
