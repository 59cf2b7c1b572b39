"""A line that says how far a run is, once it takes longer than a second."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ipsectest.runner.conductor import Finished

PATIENCE = 1.0
"""Seconds before anything is drawn."""


class RunProgress:
    """Counts finished cases; draws on stderr only if that is a terminal. A context manager."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._console = Console(stderr=True)
        self._progress: Progress | None = None

    def __call__(self, peer: str, finished: Finished) -> None:
        """One more case has ended."""
        self._done += 1
        if self._progress is None and time.monotonic() - self._started > PATIENCE and self._console.is_terminal:
            self._progress = self._draw()
        if self._progress:
            text = f"{peer} {finished.case.id}: {finished.result.verdict}"
            self._progress.update(self._progress.task_ids[0], completed=self._done, description=text)

    def _draw(self) -> Progress:
        columns = (
            BarColumn(24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
        )
        progress = Progress(*columns, console=self._console, transient=True)
        progress.add_task("", total=self._total)
        progress.start()
        return progress

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._progress:
            self._progress.stop()
