"""Where the cells of a run are played: here with ESP in user space, or with a kernel's in the lab's virtual machine."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from ipsectest.base.clock import RandomBytes
from ipsectest.lab.namespaces import Namespace
from ipsectest.net.loop import EventLoop
from ipsectest.peers import table
from ipsectest.peers.names import PeerName
from ipsectest.runner.interop.abilities import Abilities
from ipsectest.runner.interop.bench import Bench
from ipsectest.runner.interop.cells import Cell
from ipsectest.runner.interop.ends import BuiltinEnd, End
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
        seats = list(dict.fromkeys(seat_of(peer) for peer in self.peers))
        with ExitStack() as stack:
            self._here = stack.enter_context(Bench(seats, self.sides, self.random, self.loop))
            if self.virtual and self._is_guest_needed():
                self._guest = stack.enter_context(GuestBench(seats, self.sides, self.random, self.loop))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    @property
    def abilities(self) -> Mapping[str, Abilities]:
        """The most that each peer can do in this run."""
        return {str(peer): self._able(self._guest or self._here, str(peer)) for peer in self.peers}

    def lacks(self, peer: str, dimension: str, word: str) -> str:
        """What a peer lacks for a word (``cells.Lacks``)."""
        return self._able(self._guest or self._here, peer).lacks(dimension, word)

    def place(self, cell: Cell) -> Place:
        """Where a cell is played."""
        return self._bench(cell).place(_seated(cell))

    def hosts(self, cell: Cell) -> tuple[Namespace | GuestSeat, Namespace | GuestSeat]:
        """Where the pings of initiator and responder are sent: in a namespace of here, or in one of the guest's."""
        if self._guest is None or self._is_here(cell):
            return self._here.namespaces(_seated(cell))
        return self._guest.hosts(_seated(cell))

    def ends(self, cell: Cell) -> tuple[End, End]:
        """Initiator and responder; a daemon that died before is started again."""
        first, second = self._bench(cell).ends(_seated(cell))
        return _speaking(first, cell.initiator), _speaking(second, cell.responder)

    def order(self, cells: Iterable[Cell]) -> list[Cell]:
        """So that few daemons of the virtual machine have to be started: what is played here, then by initiator."""
        return sorted(
            cells, key=lambda cell: () if self._is_here(cell) else (cell.initiator, cell.auth, cell.responder)
        )

    def _able(self, bench: Bench | GuestBench, name: str) -> Abilities:
        peer = PeerName.written(name)
        return replace(bench.abilities[str(seat_of(peer))], profile=table.profile_of(peer))

    def _bench(self, cell: Cell) -> Bench | GuestBench:
        return self._here if self._guest is None or self._is_here(cell) else self._guest

    def _is_here(self, cell: Cell) -> bool:
        """Whether both ends can do it without a kernel's ESP."""
        return not any(
            self._able(self._here, peer).lacks(dimension, word)
            for peer in (cell.initiator, cell.responder)
            for dimension, word in cell.words.items()
        )

    def _is_guest_needed(self) -> bool:
        daemons = [peer for peer in self.peers if peer.driver != table.BUILTIN]
        if not daemons or not all(table.needs_tree(peer) for peer in daemons):
            return False  # its image is packed from trees
        return not self.asked or not all(self._is_here(cell) for cell in self.asked)


def seat_of(peer: PeerName) -> PeerName:
    """Whose place a peer takes: our endpoint, whatever it speaks like, is in one and the same."""
    return PeerName(peer.driver) if peer.driver == table.BUILTIN else peer


def _seated(cell: Cell) -> Cell:
    names = [str(seat_of(PeerName.written(name))) for name in (cell.initiator, cell.responder)]
    return replace(cell, initiator=names[0], responder=names[1])


def _speaking(end: End, name: str) -> End:
    profile = table.profile_of(PeerName.written(name))
    return end.speaking(profile) if profile and isinstance(end, BuiltinEnd) else end
