"""Which UDP packets are those of NAT traversal: by port 4500, by ports that the user names, by what was seen on them.

A peer behind a port forwarding or with a port of its own configuration is on neither. There an IKE message behind a
non-ESP marker (RFC 3948 section 2.2) tells what else goes between the two ends.
"""

from collections.abc import Iterable

from ipsectest.base.iana import NAT_T_PORT
from ipsectest.wire.datagrams import host_text
from ipsectest.wire.ip import IpPacket

MOST_PAIRS = 10_000
End = tuple[str, int]
"""Address and port."""
Pair = frozenset[End]
"""Both ends of a conversation, whichever sends."""


class NatT:
    """Of one run."""

    def __init__(self, ports: Iterable[int] = (), pairs: Iterable[Pair] = ()) -> None:
        """``ports``: beside 4500; ``pairs``: what another run has learned."""
        self.ports = frozenset({NAT_T_PORT, *ports})
        self._learned: set[Pair] = set()
        self.refused: set[Pair] = set()
        """Ends whose packets would have been ESP, had it been known; bounded."""
        for pair in pairs:
            self._enter(pair)

    @property
    def pairs(self) -> frozenset[Pair]:
        """What was learned."""
        return frozenset(self._learned)

    def learn(self, ip: IpPacket, ports: tuple[int, int]) -> None:
        """An IKE message behind a marker was seen here."""
        if self.ports.isdisjoint(ports):
            self._enter(_pair(ip, ports))

    def encapsulates(self, ip: IpPacket, ports: tuple[int, int]) -> bool:
        """Whether UDP without a marker is ESP here."""
        if not self.ports.isdisjoint(ports):
            return True
        pair = _pair(ip, ports)
        if pair in self._learned:
            return True
        if len(self.refused) < MOST_PAIRS:
            self.refused.add(pair)
        return False

    def restore(self, pairs: frozenset[Pair]) -> None:
        """Know these only."""
        self._learned = set(pairs)

    def _enter(self, pair: Pair) -> None:
        if len(self._learned) < MOST_PAIRS:
            self._learned.add(pair)


def _pair(ip: IpPacket, ports: tuple[int, int]) -> Pair:
    return frozenset({(host_text(ip.source), ports[0]), (host_text(ip.destination), ports[1])})
