"""The console that commands print on."""

import os
from typing import IO

from rich.console import Console

_UNBOUNDED = 10_000
"""Columns; more than any line of ours."""


def open_console(file: IO[str] | None = None, *, highlight: bool = True, soft_wrap: bool = False) -> Console:
    """As wide as the terminal; into a pipe or a file lines go whole, for grep and awk (``COLUMNS`` still counts)."""
    made = Console(file=file, emoji=False, highlight=highlight, soft_wrap=soft_wrap)
    if made.is_terminal or os.environ.get("COLUMNS", "").isdigit():
        return made
    return Console(file=file, emoji=False, highlight=highlight, soft_wrap=soft_wrap, width=_UNBOUNDED)
