"""Traffic selectors: intersection, narrowing, containment (RFC 7296 sections 2.9 and 3.13)."""

from collections.abc import Iterable, Sequence

from ipsectest.wire import TrafficSelector

OPAQUE_PORTS = (0xFFFF, 0)
"""Start above end: ports are not visible, e.g. in fragments (RFC 7296 section 3.13.1)."""
MAX_SELECTORS = 64
"""More than this in one payload are not looked at."""


def usable(selectors: Iterable[object]) -> list[TrafficSelector]:
    """The selectors we can use; those of other types are ignored (RFC 7296 section 2.9)."""
    return [s for s in selectors if isinstance(s, TrafficSelector)][:MAX_SELECTORS]


def intersect(one: TrafficSelector, other: TrafficSelector) -> TrafficSelector | None:
    """What both selectors cover, None if nothing."""
    if one.ts_type != other.ts_type or (one.protocol and other.protocol and one.protocol != other.protocol):
        return None
    ports = _ports(one, other)
    start, end = max(one.start, other.start), min(one.end, other.end)
    if ports is None or start > end:
        return None
    return TrafficSelector(one.ts_type, one.protocol or other.protocol, *ports, start, end)


def _ports(one: TrafficSelector, other: TrafficSelector) -> tuple[int, int] | None:
    first, second = (one.start_port, one.end_port), (other.start_port, other.end_port)
    anything = (0, 0xFFFF)
    if OPAQUE_PORTS in {first, second}:
        return OPAQUE_PORTS if {first, second} <= {OPAQUE_PORTS, anything} else None
    start, end = max(first[0], second[0]), min(first[1], second[1])
    return (start, end) if start <= end else None


def narrow(offered: Iterable[TrafficSelector], allowed: Sequence[TrafficSelector]) -> list[TrafficSelector]:
    """The part of offered that is allowed, in the order offered; empty: TS_UNACCEPTABLE is due.

    Intersecting each pair keeps the initiator's first selector whenever that is allowed (RFC 7296 section 2.9).
    """
    result: list[TrafficSelector] = []
    for selector in offered:
        for limit in allowed:
            common = intersect(selector, limit)
            if common is not None and not any(contains(seen, common) for seen in result):
                result.append(common)
    return result[:MAX_SELECTORS]


def contains(wide: TrafficSelector, narrow_one: TrafficSelector) -> bool:
    """Whether everything that narrow_one covers is covered by wide."""
    common = intersect(wide, narrow_one)
    return common is not None and same(common, narrow_one)


def same(one: TrafficSelector, other: TrafficSelector) -> bool:
    """Whether two selectors cover the same."""
    return _key(one) == _key(other)


def within(selectors: Sequence[TrafficSelector], limits: Sequence[TrafficSelector]) -> bool:
    """Whether selectors are a non-empty subset of limits: what an initiator demands of a response."""
    return bool(selectors) and all(any(contains(limit, s) for limit in limits) for s in selectors)


def _key(selector: TrafficSelector) -> tuple[int, int, int, int, bytes, bytes]:
    return (
        selector.ts_type, selector.protocol, selector.start_port, selector.end_port, selector.start, selector.end,
    )  # fmt: skip


def text(selectors: Iterable[TrafficSelector]) -> str:
    """Selectors for people: ``198.51.100.0-198.51.100.255[6/80]``."""
    return " ".join(map(_text, selectors))


def _text(selector: TrafficSelector) -> str:
    import ipaddress  # noqa: PLC0415 - only reports come here

    start, end = ipaddress.ip_address(selector.start), ipaddress.ip_address(selector.end)
    addresses = str(start) if start == end else f"{start}-{end}"
    ports = (selector.start_port, selector.end_port)
    if not selector.protocol and ports == (0, 0xFFFF):
        return addresses
    port = "" if ports == (0, 0xFFFF) else f"/{ports[0]}" if ports[0] == ports[1] else f"/{ports[0]}-{ports[1]}"
    return f"{addresses}[{selector.protocol}{port}]"
