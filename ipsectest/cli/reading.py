"""How far a file has been read, once that takes longer than a second."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ipsectest.cli.progress import PATIENCE

if TYPE_CHECKING:
    from rich.progress import Progress

_EVERY = 0.2
"""Seconds between two looks at the position."""


class ReadingProgress:
    """Draws on stderr only if that is a terminal; call it now and then. A context manager."""

    def __init__(self, position: Callable[[], tuple[int, int | None]]) -> None:
        self._position = position
        self._due = time.monotonic() + PATIENCE if sys.stderr.isatty() else float("inf")
        self._progress: Progress | None = None

    def __call__(self) -> None:
        """Something was read."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _EVERY
        done, size = self._position()
        if self._progress is None:
            self._progress = _draw(size)
        self._progress.update(self._progress.task_ids[0], completed=done)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._progress:
            self._progress.stop()


def _draw(size: int | None) -> "Progress":
    from rich.console import Console  # noqa: PLC0415 - most files are read before anything is drawn
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = BarColumn(24), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    progress.add_task("", total=size)
    progress.start()
    return progress
