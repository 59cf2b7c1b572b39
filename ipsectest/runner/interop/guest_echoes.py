"""Pings from a namespace of the guest, by ping(8) there."""

import re
from collections.abc import Callable, Sequence

from ipsectest.base.clock import Instant
from ipsectest.lab.vm.channel import script
from ipsectest.lab.vm.machine import Machine
from ipsectest.runner.interop.watch import GUEST_PATTERN

_COUNTS = re.compile(r"(\d+) packets transmitted, (\d+) received")
_SIZE = 4 * len(GUEST_PATTERN)
_CAP = 8
"""Seconds after which ping(8) ends in any case."""


class GuestEchoes:
    """Like ``echoes.Echoes``: a machine for ``EventLoop``, until ``count`` replies have come.

    ping(8) sends each request when it has the reply to the last.
    """

    def __init__(self, machine: Machine, namespace: str, source: str, destination: str, count: int) -> None:
        self.count = count
        self.sent = 0
        self.received = 0
        self._is_over = False
        self._machine = machine
        self._channel = machine.channel()
        self._channel.start(
            script(
                f"exec nsenter --net=/run/netns/{namespace} ping -n -q -A -c {count} -w {_CAP} -s {_SIZE} "
                f"-p {GUEST_PATTERN.hex()} -I {source} {destination}"
            )
        )

    def handles(self) -> Sequence[int]:
        """The channel."""
        return (self._channel.fileno(),)

    def readable(self, handle: int, now: Instant) -> None:
        """Take what ping(8) says at its end."""
        del handle, now
        result = None if self._is_over else self._channel.result(0)
        if result is None:
            return
        self._is_over = True
        if counts := _COUNTS.search(result.text):
            self.sent, self.received = int(counts[1]), min(self.count, int(counts[2]))

    def get_timer(self) -> None:
        """None."""

    def handle_timer(self, now: Instant) -> None:
        """Not called."""

    def close(self) -> None:
        """Wait until ping(8) has ended."""
        if not self._is_over:
            self._channel.result(_CAP)
        self._machine.release(self._channel)


def echoes_in_guest(machine: Machine, namespace: str) -> Callable[[str, str, int], GuestEchoes]:
    """What pings from a namespace of the guest (``play.Pinger``)."""
    return lambda source, destination, count: GuestEchoes(machine, namespace, source, destination, count)
