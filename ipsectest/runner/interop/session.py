"""An interop run: every cell of a plan, played and recorded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ipsectest.base.errors import PeerError
from ipsectest.runner.interop.cells import Cell, Plan
from ipsectest.runner.interop.ends import End
from ipsectest.runner.interop.play import Place, Played, Player
from ipsectest.runner.interop.record import Records
from ipsectest.runner.records import CaseRecord
from ipsectest.scenario.results import Verdict

Progress = Callable[[CaseRecord], None]
"""Is told each cell as it ends."""
PATIENT = 3.0
"""Factor on the patience of a second try."""


class Stage(Protocol):
    """A bench, or several."""

    def place(self, cell: Cell) -> Place:
        """Where a cell is played."""
        ...

    def ends(self, cell: Cell) -> tuple[End, End]:
        """Initiator and responder, running; PeerError if one does not come up."""
        ...


@dataclass(frozen=True, slots=True)
class Session:
    """Plays a plan on a bench."""

    bench: Stage
    player: Player
    records: Records
    progress: Progress = lambda _record: None

    def play(self, plan: Plan) -> None:
        """All cells in their order, those that are unsupported at the end."""
        for cell in plan.cells:
            self.progress(self.records.add(self._play(cell)))
        for cell, why in plan.unsupported.items():
            self.progress(self.records.add(Played(cell, Verdict.UNSUPPORTED, why)))

    def _play(self, cell: Cell) -> Played:
        """The cell; once more and with more patience if it came to nothing."""
        first = self._once(cell, self.player)
        if first.verdict is not Verdict.INCONCLUSIVE:
            return first
        second = self._once(cell, self.player.patient(PATIENT))
        second.attempt = 2
        second.notes.append(f"a second try: the first was inconclusive, {first.problem}")
        return second

    def _once(self, cell: Cell, player: Player) -> Played:
        try:
            initiator, responder = self.bench.ends(cell)
        except PeerError as error:  # it died, and does not come up again
            return Played(cell, Verdict.INCONCLUSIVE, str(error))
        return player.play(cell, self.bench.place(cell), initiator, responder)


def spread(cells: Sequence[Cell], count: int) -> list[Cell]:
    """So many of the cells, evenly taken from the whole list."""
    count = min(count, len(cells))
    return [cells[number * len(cells) // count] for number in range(count)]
