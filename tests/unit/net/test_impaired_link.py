"""A link of frames is bad for packets only: who is where is found out as on a good one."""

import pytest

from ipsectest.net.impaired_link import ImpairedLink
from ipsectest.net.impairment import Impairment
from ipsectest.net.tun import TapDevice
from ipsectest.wire.ip import ICMPV6, UDP, build_ip

HERE, THERE = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])
SIX = bytes([0x20, 1, 0xD, 0xB8, *bytes(11), 1]), bytes([0x20, 1, 0xD, 0xB8, *bytes(11), 2])


class ListTap(TapDevice):
    def __init__(self, number: int) -> None:
        self._handle = number
        self.waiting: list[bytes] = []
        self.written: list[bytes] = []

    def read(self) -> list[bytes]:
        packets, self.waiting = self.waiting, []
        return packets

    def write(self, packet: bytes) -> bool:
        self.written.append(packet)
        return True


def frame(kind: int, content: bytes) -> bytes:
    return bytes(12) + kind.to_bytes(2, "big") + content


FRAMES = {
    "arp": (frame(0x0806, bytes(28)), True),
    "neighbour solicitation": (frame(0x86DD, build_ip(*SIX, ICMPV6, bytes([135, *bytes(23)]))), True),
    "echo request": (frame(0x86DD, build_ip(*SIX, ICMPV6, bytes([128, *bytes(7)]))), False),
    "ipv4": (frame(0x0800, build_ip(HERE, THERE, UDP, bytes(20))), False),
    "ipv6": (frame(0x86DD, build_ip(*SIX, UDP, bytes(20))), False),
    "cut": (frame(0x86DD, b""), False),
    "too short": (b"\x86", True),
}


@pytest.mark.parametrize(("octets", "crosses"), FRAMES.values(), ids=FRAMES)
def test_neighbours_are_found_on_a_link_that_loses_every_packet(octets: bytes, crosses: bool) -> None:
    ends = ListTap(8), ListTap(9)
    link = ImpairedLink(*ends, Impairment(loss=1.0, seed=1))
    for number, other in ((0, 1), (1, 0)):
        ends[number].waiting = [octets]
        link.readable(ends[number].fileno(), 1.0)
        assert ends[other].written == ([octets] if crosses else [])
