"""Errors that reach a user, each with the place it speaks of.

Hostile packets never raise: parsers report anomalies, engines report drops. These classes
are for what the *user* of the tool gave or lacks, and carry the exit code of design section 7.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file: 1-based line and column, 0 where unknown."""

    path: Path | str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """``file:line:col`` with the unknown parts left out."""
        text = str(self.path)
        if self.line:
            text += f":{self.line}"
            if self.column:
                text += f":{self.column}"
        return text


class IpsectestError(Exception):
    """Root of all errors that end a command with a message instead of a traceback."""

    exit_code = 2


class UsageError(IpsectestError):
    """The command line asks for something that does not exist or does not fit."""


class InputError(IpsectestError):
    """A file of the user (scenario, capture, key file, configuration) is wrong at ``place``."""

    def __init__(self, message: str, place: Place | None = None, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.hint = hint

    def __str__(self) -> str:
        """``file:line:col: message (hint)``."""
        text = f"{self.place}: {self.message}" if self.place else self.message
        return f"{text} ({self.hint})" if self.hint else text


class LabError(IpsectestError):
    """The machine cannot do what the lab needs; the text says what would help."""

    exit_code = 3


class PeerError(IpsectestError):
    """A peer daemon could not be started, configured or asked."""

    exit_code = 3


class UnsupportedError(IpsectestError):
    """A peer or a part of ipsectest lacks a named ability: verdict *unsupported*."""

    def __init__(self, ability: str, why: str = "") -> None:
        super().__init__(f"{ability}: {why}" if why else ability)
        self.ability = ability
