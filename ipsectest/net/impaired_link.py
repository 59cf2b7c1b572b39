"""A link between two namespaces that loses, delays, reorders, doubles and slows down packets, without netem.

namespace        this process        namespace
TUN device  <->  two lanes      <->  TUN device
"""

from collections.abc import Sequence

from ipsectest.base.clock import Instant
from ipsectest.net.impairment import Impairment, Lane
from ipsectest.net.tun import TunDevice


class ImpairedLink:
    """A machine for ``EventLoop``: IP packets cross while the loop runs, each direction with its own lane.

    Both devices belong to the link; ``close`` removes them.
    """

    def __init__(self, first: TunDevice, second: TunDevice, impairment: Impairment) -> None:
        self.ends = (first, second)
        self.lanes = (Lane(impairment, 0), Lane(impairment, 1))
        """From the first end to the second, and back."""

    def handles(self) -> Sequence[int]:
        """Both devices."""
        return tuple(end.fileno() for end in self.ends)

    def readable(self, handle: int, now: Instant) -> None:
        """Packets want to cross."""
        index = handle != self.ends[0].fileno()
        for packet in self.ends[index].read():
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
