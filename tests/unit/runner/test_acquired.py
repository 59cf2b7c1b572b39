"""A packet that finds no SA: whose Child SA it asks for, and with which selectors first."""

from dataclasses import dataclass

import pytest

from ipsectest.ike.config import ChildConfig
from ipsectest.net.xfrm import Acquire, Policy, Selector
from ipsectest.runner.acquired import asked
from ipsectest.wire import TrafficSelector

NEAR, FAR = "198.51.100.7", "203.0.113.9"
SITES = TrafficSelector.of("198.51.100.0/24"), TrafficSelector.of("203.0.113.0/24")
DNS = ChildConfig("dns", (SITES[0],), (TrafficSelector.of("203.0.113.0/24", 17, (53, 53)),))
ALL = ChildConfig("all", (SITES[0],), (SITES[1],))


def acquire(proto: int, sport: int | None, dport: int | None) -> Acquire:
    flow = Selector(f"{NEAR}/32", f"{FAR}/32", proto, sport, dport)
    return Acquire("192.0.2.1", "192.0.2.2", "esp", 5, flow, Policy(selector=flow, dir="out"))


@dataclass(frozen=True)
class Case:
    packet: Acquire
    child: ChildConfig
    ports: tuple[tuple[int, int], tuple[int, int]]


ANY = 0, 0xFFFF
CASES = {
    "udp": Case(acquire(17, 40000, 53), DNS, ((40000, 40000), (53, 53))),
    "another port": Case(acquire(17, 40000, 54), ALL, ((40000, 40000), (54, 54))),
    "tcp": Case(acquire(6, 40000, 53), ALL, ((40000, 40000), (53, 53))),
    "ports that cannot be seen": Case(acquire(6, 0, 0), ALL, (ANY, ANY)),
    "icmp type 3 code 4": Case(acquire(1, 3, 4), ALL, ((0x304, 0x304), (0x304, 0x304))),
    "a key of gre": Case(acquire(47, 17, 18), ALL, (ANY, ANY)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_packets_own_selectors_come_first(case: Case) -> None:
    found = asked((DNS, ALL), case.packet)
    assert found
    assert found.wanted is case.child
    protocol = case.packet.selector.proto
    packet = [TrafficSelector.of(host, protocol, ports) for host, ports in zip((NEAR, FAR), case.ports, strict=True)]
    assert [found.offered.local_ts, found.offered.remote_ts] == [
        (first, *wide) for first, wide in zip(packet, (case.child.local_ts, case.child.remote_ts), strict=True)
    ]


def test_a_packet_that_no_child_sa_would_carry_asks_for_none() -> None:
    assert asked((DNS,), acquire(6, 1, 53)) is None
