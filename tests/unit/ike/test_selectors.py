"""Traffic selectors: what narrowing keeps."""

from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.iana import TrafficSelectorType
from ipsectest.ike import selectors
from ipsectest.wire import OtherTrafficSelector, TrafficSelector

of = TrafficSelector.of


def small(draw_range: tuple[int, int], protocol: int, ports: tuple[int, int]) -> TrafficSelector:
    low, high = sorted(draw_range)
    return TrafficSelector(
        TrafficSelectorType.TS_IPV4_ADDR_RANGE,
        protocol,
        *sorted(ports),
        bytes([192, 0, 2, low]),
        bytes([192, 0, 2, high]),
    )


octets = st.tuples(st.integers(0, 6), st.integers(0, 6))
tiny = st.builds(small, octets, st.sampled_from([0, 6, 17]), octets)


def covered(chosen: list[TrafficSelector]) -> set[tuple[int, int, int]]:
    """Every (protocol, port, last octet) a list of tiny selectors covers."""
    return {
        (protocol, port, host)
        for s in chosen
        for protocol in ([6, 17] if not s.protocol else [s.protocol])
        for port in range(s.start_port, s.end_port + 1)
        for host in range(s.start[3], s.end[3] + 1)
    }


@given(st.lists(tiny, max_size=5), st.lists(tiny, max_size=5))
def test_narrowing_is_the_intersection(offered: list[TrafficSelector], allowed: list[TrafficSelector]) -> None:
    narrowed = selectors.narrow(offered, allowed)
    assert covered(narrowed) == covered(offered) & covered(allowed)
    assert not narrowed or selectors.within(narrowed, allowed)
    assert not narrowed or selectors.within(narrowed, offered)


@given(tiny, st.lists(tiny, max_size=4), st.lists(tiny, min_size=1, max_size=4))
def test_an_acceptable_first_selector_is_always_kept(
    first: TrafficSelector, more: list[TrafficSelector], allowed: list[TrafficSelector]
) -> None:
    narrowed = selectors.narrow([first, *more], [*allowed, first])
    assert covered([first]) <= covered(narrowed)


def test_families_do_not_mix() -> None:
    assert selectors.narrow([of("2001:db8::/32")], [of("0.0.0.0/0")]) == []


def test_opaque_ports_meet_only_any_and_opaque() -> None:
    opaque = TrafficSelector(7, 6, 0xFFFF, 0, bytes(4), b"\xff" * 4)
    everything = of("0.0.0.0/0", 6)
    port = of("0.0.0.0/0", 6, (80, 80))
    assert selectors.intersect(opaque, everything).start_port == 0xFFFF
    assert selectors.intersect(opaque, opaque) == opaque
    assert selectors.intersect(opaque, port) is None


def test_unknown_types_are_ignored_and_number_is_bounded() -> None:
    many = [OtherTrafficSelector(9, 0, b"x"), *[of("192.0.2.0/24")] * 300]
    assert len(selectors.usable(many)) == selectors.MAX_SELECTORS


def test_text_is_for_people() -> None:
    assert selectors.text([of("192.0.2.1"), of("192.0.2.0/24", 6, (80, 80))]) == "192.0.2.1 192.0.2.0-192.0.2.255[6/80]"
