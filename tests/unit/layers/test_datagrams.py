"""Datagram -> packet -> datagram loses nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Ether
from scapy.packet import Padding, Raw

from ipsectest import wire
from ipsectest.base.addresses import Address, Datagram
from ipsectest.layers import ESP, NAT_KEEPALIVE, NON_ESP, IKEv2, datagram_of, ip_packet
from tests.unit.wire import samples

IKE = wire.build_message(samples.MESSAGES["sa_init_request"])
ETHERNET = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
HOSTS = {4: ("192.0.2.1", "192.0.2.254"), 6: ("2001:db8::1", "2001:db8::fe")}


def datagram(data: bytes, port: int, version: int = 4, protocol: int = 17) -> Datagram:
    source, destination = HOSTS[version]
    return Datagram(data, Address(source, port), Address(destination, port), protocol)


CASES = [
    (datagram(IKE, 500), [IP, UDP, IKEv2]),
    (datagram(IKE, 500, 6), [IPv6, UDP, IKEv2]),
    (datagram(bytes(4) + IKE, 4500), [IP, UDP, NON_ESP, IKEv2]),
    (datagram(b"\xff", 4500), [IP, UDP, NAT_KEEPALIVE]),
    (datagram(b"\0\0\0\1\0\0\0\2" + bytes(30), 4500, 6), [IPv6, UDP, ESP]),
    (datagram(b"\0\0\0\1\0\0\0\2" + bytes(30), 0, 4, 50), [IP, ESP]),
    (datagram(b"\x08\0\xf7\xff\0\0\0\0", 0, 4, 1), [IP, ICMP]),
    (datagram(b"short", 500), [IP, UDP, Raw]),
    (datagram(b"\1\2\3", 4500), [IP, UDP, Raw]),
    (datagram(bytes(4), 4500), [IP, UDP, NON_ESP]),
    (datagram(b"data", 9), [IP, UDP, Raw]),
]


@pytest.mark.parametrize(("given_datagram", "expected"), CASES)
def test_packets_have_the_layers_of_their_port(given_datagram: Datagram, expected: list[type]) -> None:
    packet = ip_packet(given_datagram)
    assert packet.layers()[: len(expected)] == expected
    assert datagram_of(packet) == given_datagram
    assert datagram_of(ETHERNET / packet) == given_datagram
    assert datagram_of(type(packet)(bytes(packet))) == given_datagram


def test_ethernet_padding_is_not_data() -> None:
    frame = Ether(bytes(ETHERNET / ip_packet(datagram(b"\xff", 4500))) + bytes(17))
    assert Padding in frame
    assert datagram_of(frame) == datagram(b"\xff", 4500)


def test_ipv6_extension_headers_are_skipped() -> None:
    packet = IPv6(src="2001:db8::1", dst="2001:db8::fe") / IPv6ExtHdrDestOpt() / UDP(sport=500, dport=500) / Raw(IKE)
    assert datagram_of(IPv6(bytes(packet))) == datagram(IKE, 500, 6)


def test_later_fragments_and_other_packets_are_no_datagrams() -> None:
    assert datagram_of(IP(src="192.0.2.1", dst="192.0.2.2", frag=3) / Raw(b"x")) is None
    assert datagram_of(ETHERNET / Raw(b"x")) is None
    assert datagram_of(IP(src="192.0.2.1", dst="192.0.2.2")) is None


@given(st.binary(min_size=1, max_size=80), st.sampled_from([9, 500, 4500]), st.sampled_from([4, 6]))
def test_any_udp_octets_come_back(data: bytes, port: int, version: int) -> None:
    assert datagram_of(ip_packet(datagram(data, port, version))) == datagram(data, port, version)


@given(st.binary(min_size=1, max_size=80), st.sampled_from([1, 6, 50, 51, 58, 99]))
def test_any_octets_of_other_protocols_come_back(data: bytes, protocol: int) -> None:
    assert datagram_of(ip_packet(datagram(data, 0, 4, protocol))) == datagram(data, 0, 4, protocol)
