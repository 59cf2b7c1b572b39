"""A case against a peer in memory, in virtual time: silence and retransmission cost no wall time.

A discrete-event loop: datagrams arrive after a fixed latency, and the clock jumps to whatever comes next.
"""

import heapq
from collections.abc import Sequence
from typing import Protocol

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant
from ipsectest.runner.conductor import Conductor
from ipsectest.scenario.ports import Peer
from ipsectest.scenario.results import Verdict

LATENCY = 0.001
"""Seconds each datagram takes in either direction."""
EVENT_CAP = 100_000
"""Turns of the loop for one conductor."""


class MemoryPeer(Peer, Protocol):
    """A peer without sockets: datagrams and time are carried to it."""

    def receive(self, datagram: Datagram, now: Instant) -> None:
        """Take a datagram of the tester."""
        ...

    def datagrams_to_send(self, now: Instant) -> Sequence[Datagram]:
        """What it answers."""
        ...

    def get_timer(self) -> Instant | None:
        """When `handle_timer` is due."""
        ...

    def handle_timer(self, now: Instant) -> None:
        """Do what is due."""
        ...


def play(conductor: Conductor, peer: MemoryPeer, start: Instant = 0.0) -> Instant:
    """Run the conductor's cases to their end; the instant at which they were done."""
    now = start
    under_way: list[tuple[Instant, int, bool, Datagram]] = []
    sent = 0
    conductor.start(range(1, 2), now)
    for _ in range(EVENT_CAP):
        for towards_peer, datagrams in (
            (True, conductor.datagrams_to_send(now)),
            (False, peer.datagrams_to_send(now)),
        ):
            for datagram in datagrams:
                sent += 1
                heapq.heappush(under_way, (now + LATENCY, sent, towards_peer, datagram))
        if conductor.done:
            return now
        timers = [conductor.get_timer(), peer.get_timer(), under_way[0][0] if under_way else None]
        now = max(now, min(timer for timer in timers if timer is not None))
        while under_way and under_way[0][0] <= now:
            _, _, towards_peer, datagram = heapq.heappop(under_way)
            (peer if towards_peer else conductor).receive(datagram, now)
        _wake(peer, now)
        _wake(conductor, now)
    conductor.abandon(Verdict.INCONCLUSIVE, f"no end after {EVENT_CAP} events", now)
    return now


def _wake(who: Conductor | MemoryPeer, now: Instant) -> None:
    timer = who.get_timer()
    if timer is not None and timer <= now:
        who.handle_timer(now)
