"""Where the cells of a run are played: here with ESP in user space, or with a kernel's in the lab's virtual machine."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ipsectest.base.clock import RandomBytes
from ipsectest.lab.namespaces import Namespace
from ipsectest.net.loop import EventLoop
from ipsectest.peers import table
from ipsectest.peers.names import HOST, PeerName
from ipsectest.runner.interop.abilities import Abilities
from ipsectest.runner.interop.bench import Bench
from ipsectest.runner.interop.cells import Cell
from ipsectest.runner.interop.ends import End
from ipsectest.runner.interop.guest_bench import GuestBench
from ipsectest.runner.interop.guest_seats import GuestSeat
from ipsectest.runner.interop.play import Place
from ipsectest.runner.pki import PkiSide


@dataclass(slots=True)
class Benches:
    """A context manager: the bench here, and the one in the virtual machine if the run needs it and may have it."""

    peers: Sequence[PeerName]
    sides: tuple[PkiSide, PkiSide]
    random: RandomBytes
    loop: EventLoop
    asked: Sequence[Cell] = ()
    """Only these will be played; none: anything."""
    virtual: bool = True
    """Whether a virtual machine may be started."""
    _here: Bench = field(init=False)
    _guest: GuestBench | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """LabError or PeerError say what is missing."""
        with ExitStack() as stack:
            self._here = stack.enter_context(Bench(self.peers, self.sides, self.random, self.loop))
            if self.virtual and self._is_guest_needed():
                self._guest = stack.enter_context(GuestBench(self.peers, self.sides, self.random, self.loop))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    @property
    def abilities(self) -> Mapping[str, Abilities]:
        """The most that each peer can do in this run."""
        return (self._guest or self._here).abilities

    def lacks(self, peer: str, dimension: str, word: str) -> str:
        """What a peer lacks for a word (``cells.Lacks``)."""
        return (self._guest or self._here).lacks(peer, dimension, word)

    def place(self, cell: Cell) -> Place:
        """Where a cell is played."""
        return self._bench(cell).place(cell)

    def hosts(self, cell: Cell) -> tuple[Namespace | GuestSeat, Namespace | GuestSeat]:
        """Where the pings of initiator and responder are sent: in a namespace of here, or in one of the guest's."""
        if self._guest is None or self._is_here(cell):
            return self._here.namespaces(cell)
        return self._guest.hosts(cell)

    def ends(self, cell: Cell) -> tuple[End, End]:
        """Initiator and responder; a daemon that died before is started again."""
        return self._bench(cell).ends(cell)

    def order(self, cells: Iterable[Cell]) -> list[Cell]:
        """So that few daemons of the virtual machine have to be started: what is played here, then by initiator."""
        return sorted(
            cells, key=lambda cell: () if self._is_here(cell) else (cell.initiator, cell.auth, cell.responder)
        )

    def _bench(self, cell: Cell) -> Bench | GuestBench:
        return self._here if self._guest is None or self._is_here(cell) else self._guest

    def _is_here(self, cell: Cell) -> bool:
        """Whether both ends can do it without a kernel's ESP."""
        return not any(
            self._here.lacks(peer, dimension, word)
            for peer in (cell.initiator, cell.responder)
            for dimension, word in cell.words.items()
        )

    def _is_guest_needed(self) -> bool:
        daemons = [peer for peer in self.peers if peer.driver != table.BUILTIN]
        if not daemons or any(peer.place in {"", HOST} for peer in daemons):
            return False  # its image is packed from trees
        return not self.asked or not all(self._is_here(cell) for cell in self.asked)
