"""The console that commands print on."""

import os
import re
import sys
from typing import IO, cast

from rich.console import Console

_UNBOUNDED = 10_000
"""Columns; more than any line of ours."""
_BLANKS = re.compile(r" +(?=\n)")


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
    whole = cast("IO[str]", _Trimmed(file))
    return _Console(file=whole, emoji=False, highlight=highlight, soft_wrap=soft_wrap, width=_UNBOUNDED)


class _Trimmed:
    """A file without the blanks with which Rich fills lines up to the width; None: standard output, as it is then."""

    def __init__(self, file: IO[str] | None) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Of the text what is to be seen."""
        return (self._file or sys.stdout).write(_BLANKS.sub("", text))

    def __getattr__(self, name: str) -> object:
        return getattr(self._file or sys.stdout, name)
