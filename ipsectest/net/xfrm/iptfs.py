"""IP-TFS (RFC 9347), Linux 6.14: the parameters of an SA of that mode, which are attributes of their own."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class Iptfs(NamedTuple):
    """None leaves a parameter to the kernel (``net.core.xfrm_iptfs_*``)."""

    drop_time: int | None = None
    """Microseconds that a missing outer packet is waited for; of an inbound SA, as the next one."""
    reorder_window: int | None = None
    """Outer packets that may come out of order."""
    init_delay: int | None = None
    """Microseconds that inner packets may wait to be sent together; of an outbound SA, as those below."""
    max_queue: int | None = None
    """Octets of inner packets that may wait."""
    packet_size: int | None = None
    """Octets of an outer packet; 0: as the path MTU allows."""
    dont_fragment: bool = False
    """Send each inner packet whole."""


_NUMBERS = {
    "drop_time": "XFRMA_IPTFS_DROP_TIME",
    "reorder_window": "XFRMA_IPTFS_REORDER_WINDOW",
    "init_delay": "XFRMA_IPTFS_INIT_DELAY",
    "max_queue": "XFRMA_IPTFS_MAX_QSIZE",
    "packet_size": "XFRMA_IPTFS_PKT_SIZE",
}
_FLAG = "XFRMA_IPTFS_DONT_FRAG"


def iptfs_attributes(given: Iptfs) -> Iterator[tuple[str, Any]]:
    """The attributes of what is not left to the kernel."""
    numbers = ((attribute, getattr(given, name)) for name, attribute in _NUMBERS.items())
    yield from ((attribute, number) for attribute, number in numbers if number is not None)
    if given.dont_fragment:
        yield _FLAG, b""


def iptfs_of(attribute: Callable[[str], Any]) -> Iptfs | None:
    """Of the attributes of an SA; None where it has none of them."""
    numbers = {name: attribute(kernel) for name, kernel in _NUMBERS.items()}
    found = Iptfs(**numbers, dont_fragment=attribute(_FLAG) is not None)
    return None if found == Iptfs() else found
