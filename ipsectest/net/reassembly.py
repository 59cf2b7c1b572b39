"""Reassembly of IP fragments, bounded in memory and time."""

from ipsectest.base.clock import Instant
from ipsectest.wire.fragments import Fragment, as_fragment, join

_MOST_OCTETS = 65535
"""Of the pieces of a packet: with more they overlap or make none."""
_Key = tuple[bytes, bytes, int, int]


class Reassembler:
    """Collects fragments until a packet is whole.

    At most ``max_packets`` incomplete packets of ``max_fragments`` pieces each are kept, for ``lifetime``
    seconds (RFC 8200 section 4.5 says 60); beyond that the oldest are forgotten.
    """

    def __init__(self, *, max_packets: int = 64, max_fragments: int = 64, lifetime: float = 60.0) -> None:
        self._max_packets = max_packets
        self._max_fragments = max_fragments
        self._lifetime = lifetime
        self._waiting: dict[_Key, tuple[Instant, dict[int, Fragment]]] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._waiting)

    def feed(self, packet: bytes, now: Instant) -> bytes | None:
        """The whole packet: ``packet`` itself, or what its fragment completes; None while pieces are missing."""
        fragment = as_fragment(packet)
        if fragment is None:
            return packet
        self._forget(now)
        _, pieces = self._waiting.setdefault(fragment.key, (now, {}))
        # A second piece for the same place is a duplicate or an attack; the first one stays.
        pieces.setdefault(fragment.offset, fragment)
        whole = join(list(pieces.values()))
        if whole is not None or len(pieces) >= self._max_fragments or _octets(pieces) > _MOST_OCTETS:
            del self._waiting[fragment.key]
        return whole

    def awaits(self, packet: bytes) -> bool:
        """Whether it is a fragment of a packet of which others came."""
        fragment = as_fragment(packet)
        return fragment is not None and fragment.key in self._waiting

    def _forget(self, now: Instant) -> None:
        while self._waiting:
            key, (since, _) = next(iter(self._waiting.items()))
            if now - since < self._lifetime and len(self._waiting) < self._max_packets:
                return
            del self._waiting[key]


def _octets(pieces: dict[int, Fragment]) -> int:
    return sum(len(fragment.data) for fragment in pieces.values())
