"""What every bench of an interop run has."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType

from ipsectest.base.clock import RandomBytes
from ipsectest.net.loop import EventLoop
from ipsectest.peers.names import PeerName
from ipsectest.runner.interop.abilities import Abilities
from ipsectest.runner.pki import PkiSide


@dataclass(slots=True)
class Stand:
    """The peers with their abilities; ``sides``: the PKI of initiators and responders."""

    peers: Sequence[PeerName]
    sides: tuple[PkiSide, PkiSide]
    random: RandomBytes
    loop: EventLoop
    abilities: dict[str, Abilities] = field(default_factory=dict)
    """By the name of the peer; filled on entry."""
    _stack: ExitStack = field(default_factory=ExitStack)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def lacks(self, peer: str, dimension: str, word: str) -> str:
        """What a peer lacks for a word (``cells.Lacks``)."""
        return self.abilities[peer].lacks(dimension, word)
