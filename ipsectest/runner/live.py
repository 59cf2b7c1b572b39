"""Cases against daemons: conductors over packet wires in one event loop, with an eye on each daemon's health."""

from collections.abc import Callable, Sequence

from ipsectest.base.clock import Instant
from ipsectest.net.wire import Wire
from ipsectest.runner.conductor import Conductor
from ipsectest.scenario.ports import Peer
from ipsectest.scenario.results import Verdict

HEALTH_INTERVAL = 0.25
"""Seconds between two looks at a daemon."""


class Post:
    """One daemon instance with its wire and its cases: a machine for ``net.loop.EventLoop``.

    ``restart`` gives a fresh peer on the same wire after a crash; it is used once.
    """

    def __init__(self, conductor: Conductor, wire: Wire, restart: Callable[[], Peer]) -> None:
        self._conductor = conductor
        self._wire = wire
        self._restart: Callable[[], Peer] | None = restart
        self._health_due: Instant = 0.0

    @property
    def done(self) -> bool:
        """Whether all its cases have a result."""
        return self._conductor.done

    def start(self, slots: Sequence[int], now: Instant, at_once: int | None = None) -> None:
        """Begin with the cases, never more than ``at_once`` (default: as many as slots)."""
        self._health_due = now + HEALTH_INTERVAL
        self._conductor.start(slots, now, at_once)
        self._flush(now)

    def abandon(self, why: str, now: Instant) -> None:
        """End what still runs or waits."""
        self._conductor.abandon(Verdict.INCONCLUSIVE, why, now)
        self._flush(now)

    def handles(self) -> Sequence[int]:
        """The wire's descriptors."""
        return self._wire.handles()

    def readable(self, handle: int, now: Instant) -> None:
        """Carry what has arrived to the cases, and their answers back."""
        for datagram in self._wire.receive(handle, now):
            self._conductor.receive(datagram, now)
        self._flush(now)

    def get_timer(self) -> Instant | None:
        """The next deadline of a case, or the next look at the daemon."""
        if self._conductor.done:
            return None
        if self._conductor.halted:
            return 0.0
        timer = self._conductor.get_timer()
        return self._health_due if timer is None else min(timer, self._health_due)

    def handle_timer(self, now: Instant) -> None:
        """Wake the cases that are due; see whether the daemon lives."""
        if now >= self._health_due or self._conductor.halted:
            self._health_due = now + HEALTH_INTERVAL
            self._look(now)
        self._conductor.handle_timer(now)
        self._flush(now)

    def _flush(self, now: Instant) -> None:
        while datagrams := self._conductor.datagrams_to_send(now):
            for datagram in datagrams:
                self._wire.send(datagram, now)

    def _look(self, now: Instant) -> None:
        why = self._conductor.peer.crash()
        if why is None:
            return
        self._conductor.crashed(why, now)
        if self._restart is None:
            self._conductor.abandon(Verdict.INCONCLUSIVE, f"the peer crashed twice: {why}", now)
            return
        self._conductor.peer = self._restart()
        self._restart = None
        self._conductor.resume(now)
