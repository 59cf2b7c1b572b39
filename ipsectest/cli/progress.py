"""A line that says how far a run is, once it takes longer than a second."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress

    from ipsectest.runner.conductor import Finished

PATIENCE = 1.0
"""Seconds before anything is drawn."""


class RunProgress:
    """Counts finished cases; draws on stderr only if that is a terminal. A context manager."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._progress: Progress | None = None

    def __call__(self, peer: str, finished: "Finished") -> None:
        """One more case has ended."""
        self.step(f"{peer} {finished.case.id}: {finished.result.verdict}")

    def step(self, text: str) -> None:
        """One more, of whatever kind: ``text`` is shown beside the bar."""
        self._done += 1
        if self._progress is None and time.monotonic() - self._started > PATIENCE and sys.stderr.isatty():
            self._progress = self._draw()
        if self._progress:
            self._progress.update(self._progress.task_ids[0], completed=self._done, description=text)

    def _draw(self) -> "Progress":
        from rich.console import Console  # noqa: PLC0415 - most runs are over before anything is drawn
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        columns = (
            BarColumn(24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
        )
        progress = Progress(*columns, console=Console(stderr=True), transient=True)
        progress.add_task("", total=self._total)
        progress.start()
        return progress

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._progress:
            self._progress.stop()
