"""Traffic selectors as the kernel's selectors."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.net.xfrm import Selector
from ipsectest.net.xfrm_plane import port_blocks, selectors
from ipsectest.wire import TrafficSelector

PORTS = st.integers(0, 65535)


@given(st.tuples(PORTS, PORTS).map(sorted), PORTS)
def test_blocks_match_the_ports_of_the_range_and_no_others(bounds: list[int], port: int) -> None:
    first, last = bounds
    blocks = port_blocks(first, last)
    assert len(blocks) <= 30
    for probe in (port, first, last, (first - 1) & 0xFFFF, (last + 1) & 0xFFFF):
        matching = [block for block in blocks if block[0] is None or probe & block[1] == block[0]]
        assert len(matching) == (first <= probe <= last)


@dataclass
class Case:
    local: list[TrafficSelector]
    remote: list[TrafficSelector]
    expected: list[Selector]


CASES = {
    "prefixes": Case(
        [TrafficSelector.of("198.51.100.0/24")],
        [TrafficSelector.of("203.0.113.0/25"), TrafficSelector.of("203.0.113.129/32")],
        [Selector("198.51.100.0/24", "203.0.113.0/25"), Selector("198.51.100.0/24", "203.0.113.129/32")],
    ),
    "protocol of one side": Case(
        [TrafficSelector.of("198.51.100.1/32", protocol=6, ports=(22, 22))],
        [TrafficSelector.of("203.0.113.1/32")],
        [Selector("198.51.100.1/32", "203.0.113.1/32", 6, 22, None)],
    ),
    "echo requests": Case(
        [TrafficSelector.of("198.51.100.1/32", protocol=1, ports=(0x0800, 0x0800))],
        [TrafficSelector.of("203.0.113.1/32", protocol=1, ports=(0x0800, 0x0800))],
        [Selector("198.51.100.1/32", "203.0.113.1/32", 1, 8, 0)],
    ),
    "a packet beside what is wanted": Case(
        [TrafficSelector.of("198.51.100.1/32", protocol=6, ports=(999, 999)), TrafficSelector.of("198.51.100.0/24")],
        [TrafficSelector.of("203.0.113.1/32", protocol=6, ports=(22, 22)), TrafficSelector.of("203.0.113.0/24")],
        [Selector("198.51.100.0/24", "203.0.113.0/24")],
    ),
    "the same twice": Case(
        [TrafficSelector.of("198.51.100.1/32")] * 2,
        [TrafficSelector.of("203.0.113.1/32")] * 2,
        [Selector("198.51.100.1/32", "203.0.113.1/32")],
    ),
    "two protocols": Case(
        [TrafficSelector.of("198.51.100.1/32", protocol=6)], [TrafficSelector.of("203.0.113.1/32", protocol=17)], []
    ),
    "two IP versions": Case([TrafficSelector.of("198.51.100.1/32")], [TrafficSelector.of("2001:db8::/64")], []),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_traffic_selectors_become_selectors(case: Case) -> None:
    assert list(selectors(case.local, case.remote)) == case.expected


def test_address_ranges_fall_apart_into_prefixes() -> None:
    one = TrafficSelector.of("198.51.100.1/32")
    one.end = bytes([198, 51, 100, 6])
    there = [TrafficSelector.of("203.0.113.1/32")]
    sources = [selector.src for selector in selectors([one], there)]
    assert sources == ["198.51.100.1/32", "198.51.100.2/31", "198.51.100.4/31", "198.51.100.6/32"]
