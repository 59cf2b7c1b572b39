"""The requirement catalogue: ``scenarios/requirements/*.csv`` and the contested rows."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ipsectest.base.errors import InputError, Place
from ipsectest.scenario.results import Level

_PACKAGE = Path(__file__).resolve().parent.parent
_ORDER = (Level.INFO, Level.MAY, Level.SHOULD, Level.MUST)
_HIGHEST_TAG = {
    "MUST": Level.MUST,
    "MUST NOT": Level.MUST,
    "MUST-": Level.MUST,
    "SHOULD": Level.SHOULD,
    "SHOULD NOT": Level.SHOULD,
    "SHOULD+": Level.SHOULD,
    "RECOMMENDED": Level.SHOULD,
    "MAY": Level.MAY,
    "OPTIONAL": Level.MAY,
    "implied": Level.MAY,
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row; ``contested`` says why its verdict is a note only, empty if it is not."""

    id: str
    rfc: str
    section: str
    level: str
    actor: str
    text: str
    observable: str
    how: str
    area: str
    contested: str = ""

    @property
    def highest_tag(self) -> Level:
        """The strongest tag a line may carry for this row (RFC 7296 section 1.7: lower case convicts nobody)."""
        return _HIGHEST_TAG.get(self.level, Level.INFO)

    def allows(self, level: Level) -> bool:
        """Whether a tag of this level is not stronger than the row."""
        return _ORDER.index(level) <= _ORDER.index(self.highest_tag)


def scenarios_folder() -> Path:
    """Where the shipped scenarios are: ``./scenarios`` of a checkout we stand in, else the package's own."""
    for folder in (Path.cwd() / "scenarios", _PACKAGE.parent / "scenarios", _PACKAGE / "data" / "scenarios"):
        if (folder / "requirements").is_dir():
            return folder
    raise InputError("no scenarios folder with requirements found", hint="run from a checkout or install the package")


def load(folder: Path | None = None) -> Mapping[str, Requirement]:
    """The catalogue by id. InputError names the file and line of a row that cannot be read."""
    return _load(folder or scenarios_folder() / "requirements")


@cache
def _load(folder: Path) -> Mapping[str, Requirement]:
    contested = {row["id"]: row["why"] for _, row in _rows(folder / "contested.csv", {"id", "why"})}
    catalogue: dict[str, Requirement] = {}
    wanted = {"id", "rfc", "section", "level", "actor", "requirement", "observable", "how", "area", "source"}
    for path in sorted(folder.glob("rfc*.csv")):
        for line, row in _rows(path, wanted):
            if row["id"] in catalogue:
                raise InputError(f"requirement {row['id']} is there twice", Place(path, line))
            why = contested.get(row["id"], "") or (
                "" if row["source"] == "text" else "not verified against the RFC's text"
            )
            catalogue[row["id"]] = Requirement(
                row["id"], row["rfc"], row["section"], row["level"], row["actor"], row["requirement"],
                row["observable"], row["how"], row["area"], why,
            )  # fmt: skip
    if unknown := sorted(contested.keys() - catalogue.keys()):
        raise InputError(f"contested.csv names unknown requirements: {', '.join(unknown)}")
    return catalogue


def _rows(path: Path, wanted: set[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows with their line numbers; the columns of ``wanted`` are all there."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = wanted - set(reader.fieldnames or ())
            if missing:
                raise InputError(f"columns missing: {', '.join(sorted(missing))}", Place(path, 1))
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", Place(path)) from None
    for line, row in rows:
        if None in row.values() or None in row:
            raise InputError("a row has not as many cells as the header", Place(path, line))
    return rows
