"""Rows of Wireshark's tables (epan/uat files): values, quoted or not, with commas between."""

from dataclasses import dataclass

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True, slots=True)
class Cell:
    """A value and the column, from 1, where it stands."""

    text: str
    column: int


class RowError(ValueError):
    """A line is no row of a table; ``column`` tells where."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column


def cells(line: str) -> list[Cell]:
    """The values of a line; none for an empty line or a comment. RowError."""
    if not line.strip() or line.lstrip().startswith("#"):
        return []
    row: list[Cell] = []
    at = 0
    while True:
        while at < len(line) and line[at] in " \t":
            at += 1
        if line[at : at + 1] == '"':
            text, end = _quoted(line, at)
        else:
            comma = line.find(",", at)
            end = len(line) if comma < 0 else comma
            text = line[at:end].strip()
        row.append(Cell(text, at + 1))
        while end < len(line) and line[end] in " \t":
            end += 1
        if end == len(line):
            return row
        if line[end] != ",":
            raise RowError("a comma is missing", end + 1)
        at = end + 1


def _quoted(line: str, start: int) -> tuple[str, int]:
    r"""A value in quotation marks, with ``\"``, ``\\`` and ``\x41`` undone, and where it ends."""
    text: list[str] = []
    at = start + 1
    while at < len(line):
        if line[at] == '"':
            return "".join(text), at + 1
        if line[at] == "\\" and at + 1 < len(line):
            digits = line[at + 2 : at + 4]
            if line[at + 1] == "x" and len(digits) == 2 and all(digit in "0123456789abcdefABCDEF" for digit in digits):
                text.append(chr(int(digits, 16)))
                at += 4
            else:
                text.append(_ESCAPES.get(line[at + 1], line[at + 1]))
                at += 2
        else:
            text.append(line[at])
            at += 1
    raise RowError("a quotation mark is not closed", start + 1)


def quoted(values: tuple[str, ...]) -> str:
    """A row of values in quotation marks."""
    return ",".join(f'"{value}"' for value in values)
