"""A link between two namespaces that loses, delays, reorders, doubles and slows down packets, without netem.

namespace        this process        namespace
TUN device  <->  two lanes      <->  TUN device

TAP devices carry Ethernet frames: one end may be bridged with what is no namespace of this machine.
"""

from collections.abc import Sequence

from ipsectest.base.clock import Instant
from ipsectest.net.impairment import Impairment, Lane
from ipsectest.net.tun import TapDevice, TunDevice
from ipsectest.wire.ip import ICMPV6

_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"
_DISCOVERY = bytes(range(133, 138))
"""Types of ICMPv6 (RFC 4861 section 4)."""


class ImpairedLink:
    """A machine for ``EventLoop``: IP packets cross while the loop runs, each direction with its own lane.

    Both devices belong to the link; ``close`` removes them.
    """

    def __init__(self, first: TunDevice, second: TunDevice, impairment: Impairment) -> None:
        self.ends = (first, second)
        self.lanes = (Lane(impairment, 0), Lane(impairment, 1))
        """From the first end to the second, and back."""
        self.has_frames = isinstance(first, TapDevice)
        """Else there are no neighbours to be found. With frames a rate counts the Ethernet header too."""

    def handles(self) -> Sequence[int]:
        """Both devices."""
        return tuple(end.fileno() for end in self.ends)

    def readable(self, handle: int, now: Instant) -> None:
        """Packets want to cross."""
        index = handle != self.ends[0].fileno()
        for packet in self.ends[index].read():
            if _finds_neighbours(packet, is_frame=self.has_frames):
                self.ends[1 - index].write(packet)
            else:
                self.lanes[index].enter(packet, now)
        self.handle_timer(now)

    def get_timer(self) -> Instant | None:
        """When the next packet arrives at an end."""
        return min((timer for lane in self.lanes if (timer := lane.get_timer()) is not None), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Deliver what has arrived; an end that is down takes nothing."""
        for lane, end in zip(self.lanes, reversed(self.ends), strict=True):
            for packet in lane.leave(now):
                end.write(packet)

    def close(self) -> None:
        """Remove both devices; take the machine out of its loop first."""
        for end in self.ends:
            end.close()


def _finds_neighbours(frame: bytes, *, is_frame: bool) -> bool:
    """ARP, and router and neighbour discovery: the link is as bad for packets as one that needs none of them."""
    if not is_frame:
        return False
    if frame[12:14] == _IPV6:
        return frame[20:21] == bytes([ICMPV6]) and frame[54:55] in _DISCOVERY
    return frame[12:14] != _IPV4
