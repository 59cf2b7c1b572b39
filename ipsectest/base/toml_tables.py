"""Typed reading of TOML tables in which every complaint has a file, a line and a column."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn, TypeVar

from ipsectest.base.errors import InputError, Place
from ipsectest.base.toml_spots import Keys, Spots

Value = TypeVar("Value")

_TYPES = {
    bool: "true or false",
    str: "a text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}


class Table:
    """One table and where it stands."""

    def __init__(self, file: Path, spots: Spots, keys: Keys, content: Mapping[str, object]) -> None:
        self.file = file
        self._spots = spots
        self._keys = keys
        self.content = content

    def fail(self, message: str, key: str | int | None = None, *, hint: str = "") -> NoReturn:
        """Complain about a key, or about the table."""
        keys = self._keys if key is None else (*self._keys, key)
        raise InputError(message, Place(self.file, *self._spots.of(keys)), hint=hint)

    def only(self, *known: str) -> None:
        """Complain about a key that does not exist."""
        for key in self.content:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                self.fail(f"there is no key {key!r}", key, hint=f"did you mean {near[0]!r}?" if near else "")

    def get(self, key: str, kind: type[Value], default: Value | None = None) -> Value:
        """The value of a key; without ``default`` it must be there."""
        value = self.content.get(key, default)
        if value is None:
            self.fail(f"{key} is missing")
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            self.fail(f"{key} is {_TYPES[kind]}", key)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, empty if the key is missing."""
        values = self.get(key, list, [])
        if not all(isinstance(value, str) for value in values):
            self.fail(f"{key} is a list of texts", key)
        return tuple(values)

    def table(self, key: str) -> "Table | None":
        """The table below a key, if there is one."""
        return self._below(self.get(key, dict), key) if key in self.content else None

    def tables(self, key: str) -> Iterator[tuple[str, "Table"]]:
        """The tables of ``[key.NAME]`` or ``[[key]]``, with name or number."""
        value = self.content.get(key)
        members = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
        for name, content in members:
            if not isinstance(content, dict):
                self.fail(f"{key} is a table", key)
            yield str(name), self._below(content, key, name)

    def _below(self, content: Mapping[str, object], *keys: str | int) -> "Table":
        return Table(self.file, self._spots, (*self._keys, *keys), content)


def read(path: Path) -> Table:
    """The root table of a file."""
    text = read_text(path)
    return Table(path, Spots(text), (), parse(text, path))


def read_text(path: Path) -> str:
    """A file of UTF-8; InputError if it is none."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", Place(path)) from None
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", Place(path)) from None


def parse(text: str, path: Path) -> dict[str, object]:
    """What TOML says; InputError with the place in the file it is from."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, _, where = str(error).partition(" (at line ")
        line, _, column = where.rstrip(")").partition(", column ")
        spot = (int(line), int(column)) if line.isdigit() and column.isdigit() else (text.count("\n") + 1, 1)
        raise InputError(message, Place(path, *spot)) from None
    except (RecursionError, ValueError) as error:  # brackets without end, a number of thousands of digits
        raise InputError(f"cannot be read as TOML: {error}", Place(path)) from None
