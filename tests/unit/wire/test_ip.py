"""IP headers, checksums and fragments as octets, compared with Scapy."""

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP, in4_chksum
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.utils import checksum as scapy_checksum

from ipsectest.wire.fragments import as_fragment, cut, join
from ipsectest.wire.ip import (
    build_ip,
    build_ipv4,
    build_ipv6,
    build_udp,
    checksum,
    parse_ip,
    parse_udp,
    pseudo_header,
)

FRAGMENTED = bytes(IPv6(src="2001:db8::1", dst="2001:db8::2", plen=99) / IPv6ExtHdrFragment())
A4, B4 = bytes([192, 0, 2, 1]), bytes([203, 0, 113, 9])
A6, B6 = bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("20010db8000000000000000000000002")


@given(st.binary(max_size=200))
def test_the_checksum_is_that_of_rfc_1071(data: bytes) -> None:
    assert checksum(data) == scapy_checksum(data)


def test_the_checksum_of_zeros_and_of_ones() -> None:
    assert (checksum(b""), checksum(bytes(4)), checksum(b"\xff" * 4)) == (0xFFFF, 0xFFFF, 0)


@given(st.binary(max_size=100), st.integers(0, 255), st.integers(0, 255), st.integers(0, 65535))
def test_ipv4_is_built_as_scapy_builds_it(payload: bytes, tos: int, ttl: int, identification: int) -> None:
    expected = IP(src="192.0.2.1", dst="203.0.113.9", proto=50, tos=tos, ttl=ttl, id=identification, flags="DF")
    packet = build_ipv4(
        A4, B4, 50, payload, hop_limit=ttl, traffic_class=tos, identification=identification, flags_and_offset=0x4000
    )
    assert packet == bytes(expected / payload)
    ip = parse_ip(packet)
    assert ip is not None
    assert (ip.source, ip.destination, ip.protocol, ip.payload) == (A4, B4, 50, payload)
    assert (ip.traffic_class, ip.hop_limit, ip.identification, ip.dont_fragment) == (tos, ttl, identification, True)


@given(st.binary(max_size=100), st.integers(0, 255), st.integers(0, 255))
def test_ipv6_is_built_as_scapy_builds_it(payload: bytes, traffic_class: int, hop_limit: int) -> None:
    expected = IPv6(src="2001:db8::1", dst="2001:db8::2", nh=50, tc=traffic_class, hlim=hop_limit)
    packet = build_ipv6(A6, B6, 50, payload, hop_limit=hop_limit, traffic_class=traffic_class)
    assert packet == bytes(expected / payload)
    ip = parse_ip(packet)
    assert ip is not None
    assert (ip.source, ip.destination, ip.protocol, ip.payload) == (A6, B6, 50, payload)
    assert (ip.traffic_class, ip.hop_limit) == (traffic_class, hop_limit)


@given(st.binary(max_size=100))
def test_udp_is_built_as_scapy_builds_it(data: bytes) -> None:
    for source, destination, layer in (
        (A4, B4, IP(src="192.0.2.1", dst="203.0.113.9")),
        (A6, B6, IPv6(src="2001:db8::1", dst="2001:db8::2")),
    ):
        segment = build_udp(source, destination, 4500, 61000, data)
        assert (
            build_ip(source, destination, 17, segment)[-len(segment) :]
            == bytes(layer / UDP(sport=4500, dport=61000) / data)[-len(segment) :]
        )
        assert parse_udp(segment) == (4500, 61000, data)


def test_a_udp_checksum_of_zero_is_sent_as_ones() -> None:
    # RFC 768: zero on the wire means that there is none.
    base = build_udp(A4, B4, 1, 2, b"\0\0")
    filler = int.from_bytes(base[6:8], "big").to_bytes(2, "big")
    assert build_udp(A4, B4, 1, 2, filler)[6:8] == b"\xff\xff"
    assert in4_chksum(17, IP(src="192.0.2.1", dst="203.0.113.9"), base[:6] + b"\0\0" + filler) in {0, 0xFFFF}
    assert len(pseudo_header(A6, B6, 17, 8)) == 40


def test_ipv6_extension_headers_are_walked_over() -> None:
    packet = bytes(
        IPv6(src="2001:db8::1", dst="2001:db8::2")
        / IPv6ExtHdrHopByHop()
        / IPv6ExtHdrDestOpt()
        / UDP(sport=1, dport=2)
        / b"data"
    )
    ip = parse_ip(packet + b"trailing octets of the link")
    assert ip is not None
    assert (ip.protocol, len(ip.headers), ip.protocol_at) == (17, 56, 48)
    assert parse_udp(ip.payload) == (1, 2, b"data")


def test_fragments_show_their_place() -> None:
    first = parse_ip(
        bytes(IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrFragment(m=1, nh=17, id=7) / bytes(16))
    )
    later = parse_ip(
        bytes(IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrFragment(offset=2, nh=0, id=7) / (b"\xff" * 8))
    )
    assert first is not None
    assert (first.is_fragment, first.more_fragments, first.identification, first.protocol) == (True, True, 7, 17)
    assert later is not None
    assert (later.is_fragment, later.fragment_offset, later.payload) == (True, 16, b"\xff" * 8)


@given(st.binary(max_size=120))
@settings(max_examples=500)
def test_no_octets_raise(data: bytes) -> None:
    for octets in (
        data,
        b"\x45" + data,
        b"\x60" + data,
        FRAGMENTED + data,
        b"\x60\0\0\0\0" + data,
    ):
        parse_ip(octets)
        as_fragment(octets)
        parse_udp(octets)


@given(st.integers(0, 9000), st.integers(1280, 1600), st.booleans(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_pieces_join_in_any_order(size: int, mtu: int, six: bool, shuffle: object) -> None:
    payload = bytes(n * 7 & 255 for n in range(size))
    packet = build_ipv6(A6, B6, 50, payload) if six else build_ipv4(A4, B4, 50, payload, identification=0x5678)
    pieces = cut(packet, mtu, 0x12345678)
    assert all(len(piece) <= mtu for piece in pieces)
    if len(packet) <= mtu:
        assert pieces == [packet]
        return
    fragments = [as_fragment(piece) for piece in pieces]
    shuffle.shuffle(fragments)
    assert len({fragment.key for fragment in fragments}) == 1
    assert join(fragments) == packet
    assert join(fragments[1:]) is None
    assert join([*fragments, fragments[0]]) is None  # an overlap


def test_scapy_reassembles_our_pieces_and_we_its() -> None:
    from scapy.layers.inet import defragment, fragment
    from scapy.layers.inet6 import defragment6, fragment6

    packet = build_ipv4(A4, B4, 1, bytes(ICMP() / bytes(5000)), identification=77)
    assert bytes(defragment([IP(piece) for piece in cut(packet, 1500, 77)])[0]) == packet
    assert join([as_fragment(bytes(piece)) for piece in fragment(IP(packet), 1000)]) == packet
    six = (
        IPv6(src="2001:db8::1", dst="2001:db8::2")
        / IPv6ExtHdrHopByHop()
        / IPv6ExtHdrFragment(id=9)
        / UDP(sport=1, dport=2)
        / bytes(4000)
    )
    whole = join([as_fragment(bytes(piece)) for piece in fragment6(six, 1300)])
    assert whole == bytes(
        IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrHopByHop() / UDP(sport=1, dport=2) / bytes(4000)
    )
    plain = build_ipv6(A6, B6, 50, bytes(4000))
    assert bytes(defragment6([IPv6(piece) for piece in cut(plain, 1300, 5)])) == plain
