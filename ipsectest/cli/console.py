"""The console that commands print on."""

import os
from typing import IO

from rich.console import Console

_UNBOUNDED = 10_000
"""Columns; more than any line of ours."""


class _Console(Console):
    """One whose reader may go away: rich would end the command with 1, which some commands have another meaning for."""

    def on_broken_pipe(self) -> None:
        """Nothing more is written, not at the end of the process either."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())
        raise BrokenPipeError


def open_console(file: IO[str] | None = None, *, highlight: bool = True, soft_wrap: bool = False) -> Console:
    """As wide as the terminal; into a pipe or a file lines go whole, for grep and awk (``COLUMNS`` still counts)."""
    made = _Console(file=file, emoji=False, highlight=highlight, soft_wrap=soft_wrap)
    if made.is_terminal or os.environ.get("COLUMNS", "").isdigit():
        return made
    return _Console(file=file, emoji=False, highlight=highlight, soft_wrap=soft_wrap, width=_UNBOUNDED)
