"""IP packets in frames of every link type, made by Scapy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback
from scapy.layers.ppp import HDLC, PPP, PPPoE
from scapy.packet import Packet

from ipsectest.decrypt.links import ip_packet
from ipsectest.decrypt.reassembly import Fragments
from ipsectest.wire.fragments import cut

V4 = IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=1, dport=2) / b"payload"
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=1, dport=2) / b"payload"


@pytest.mark.parametrize("inner", [V4, V6], ids=["v4", "v6"])
@pytest.mark.parametrize(
    ("link_type", "outer"),
    [
        (1, Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")),
        (1, Ether() / Dot1Q(vlan=5)),
        (1, Ether() / Dot1AD(vlan=7) / Dot1Q(vlan=5)),
        (1, Ether(type=0x8847) / MPLS(label=9, s=0) / MPLS(label=10, s=1)),
        (1, Ether() / PPPoE(sessionid=1) / PPP()),
        (9, PPP()),
        (50, HDLC() / PPP()),
        (113, CookedLinux()),
        (276, CookedLinuxV2()),
        (0, Loopback()),
        (101, None),
        (12, None),
    ],
)
def test_the_packet_is_found(link_type: int, outer: Packet | None, inner: Packet) -> None:
    frame = bytes(outer / inner) if outer is not None else bytes(inner)
    assert ip_packet(frame, link_type) == bytes(inner)
    assert ip_packet(memoryview(frame), link_type) == bytes(inner)


def test_what_is_no_ip_says_what_it_is() -> None:
    assert ip_packet(bytes(Ether() / ARP()), 1) == "ethertype 0x0806"
    assert ip_packet(b"short", 1) == "cut off within the link header"
    assert ip_packet(bytes(60), 1) == "an 802.3 frame"
    assert ip_packet(b"", 101) == "no IP packet where one should be"
    assert ip_packet(b"anything", 147) == "link type 147 is not known"
    assert ip_packet(b"\x81\x00" * 40, 1) == "too many tags"


@given(st.binary(max_size=80), st.sampled_from([0, 1, 9, 12, 50, 101, 108, 113, 228, 276, 9999]))
def test_no_octets_raise(data: bytes, link_type: int) -> None:
    found = ip_packet(data, link_type)
    assert isinstance(found, str) or found[0] >> 4 in {4, 6}


@pytest.mark.parametrize("whole", [bytes(V4 / bytes(3000)), bytes(V6 / bytes(3000))], ids=["v4", "v6"])
def test_fragments_make_a_packet_in_any_order(whole: bytes) -> None:
    fragments = Fragments()
    pieces = cut(whole, 600, 77)
    assert len(pieces) > 4
    results = [fragments.take(piece, n) for n, piece in enumerate(pieces[::-1])]
    assert results[:-1] == [None] * (len(pieces) - 1)
    assert results[-1][20:] == whole[20:] or results[-1][40:] == whole[40:]
    assert len(fragments) == 0


def test_old_fragments_are_forgotten_by_the_captures_clock() -> None:
    fragments = Fragments()
    for number in range(5000):
        fragments.take(cut(bytes(V4 / bytes(3000)), 600, number)[0], number)
    assert len(fragments) <= 1024
    fragments.take(cut(bytes(V4 / bytes(3000)), 600, 6000)[0], 10**12)
    assert len(fragments) == 1
