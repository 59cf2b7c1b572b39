"""TOML files of ``scenarios/profiles/`` -> `Profile`; every problem keeps its line and column in the file."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache, partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from ipsectest.base.errors import InputError, Place, UsageError
from ipsectest.base.iana import ConfigurationAttributeType, NotifyType, TransformType
from ipsectest.base.suites import KEYWORDS, UnknownKeywordError, parse_suite
from ipsectest.base.toml_tables import parse, read_text
from ipsectest.ike.config import Suite
from ipsectest.scenario.load import toml_problem
from ipsectest.scenario.model import Spot
from ipsectest.scenario.ports import Authentication
from ipsectest.scenario.profile import (
    ENCAPSULATIONS,
    IDENTITIES,
    IPS,
    LIVENESS_ACTIONS,
    MODES,
    ROLES,
    Announcements,
    Liveness,
    Offer,
    Profile,
)
from ipsectest.scenario.reader import Problem
from ipsectest.scenario.requirements import scenarios_folder
from ipsectest.scenario.syntax import nearest

FOLDER = "profiles"
SUFFIX = ".toml"
_TELLING = re.compile(r"^(sources|roles|encapsulations)[ \t]*=", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_KE = TransformType.KE
_NEEDS = {"ike": (TransformType.ENCR, TransformType.PRF, TransformType.KE), "esp": (TransformType.ENCR,)}
_MOST = 1 << 48
_NUMBER = re.compile(r"[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}")


class _WrongValueError(ValueError):
    """A value that does not fit: which text of it, how far in, and what is wrong."""

    def __init__(self, message: str, hint: str = "", text: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.message, self.hint, self.text, self.offset = message, hint, text, offset


@dataclass(frozen=True, slots=True)
class Examined:
    """A file that was read as far as possible: ``profile`` is None if it cannot be used."""

    path: Path
    text: str
    profile: Profile | None
    problems: tuple[Problem, ...]


def is_profile(path: Path) -> bool:
    """Whether a file is one of profiles: by its folder, or by a key that files of scenarios have not."""
    if path.resolve().parent.name == FOLDER:
        return True
    try:
        return bool(_TELLING.search(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        return False


def files(root: Path | None = None) -> dict[str, Path]:
    """Name -> file, below the scenarios folder."""
    return {path.stem: path for path in sorted(((root or scenarios_folder()) / FOLDER).glob(f"*{SUFFIX}"))}


def named(name: str) -> Profile:
    """A shipped profile, or that of a file ``....toml``.

    UsageError with the nearest name if there is none, InputError if its file is wrong.
    """
    if name.endswith(SUFFIX):
        return _load(Path(name))
    known = files()
    if name not in known:
        near = nearest(name, list(known))
        raise UsageError(
            f"no profile {name!r}"
            + (f", did you mean {near!r}?" if near else f" (there are {', '.join(known)}, or a {SUFFIX} file)")
        )
    return _load(known[name])


@cache
def _load(path: Path) -> Profile:
    return load(path)


def load(path: Path) -> Profile:
    """The profile of a file; InputError with file:line:col for the first problem."""
    examined = examine(path)
    if examined.profile is None or examined.problems:
        problem = examined.problems[0]
        raise InputError(problem.message, Place(path, problem.spot.line, problem.spot.column), hint=problem.hint)
    return examined.profile


def examine(path: Path) -> Examined:
    """Read a file and collect all problems. InputError only if it cannot be opened."""
    text = read_text(path)
    try:
        document = parse(text, path)
    except InputError as error:
        return Examined(path, text, None, (toml_problem(error),))
    return _Reading(path, text, document).examined()


# Readers of values: each takes what TOML gave and raises _WrongValueError ------------------------------------------


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _WrongValueError("needs a text")
    return value.strip()


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _WrongValueError("needs a list of texts")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _WrongValueError("needs true or false")
    return value


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise _WrongValueError(f"needs a whole number from 0 to {_MOST}")
    return value


def _seconds(value: object) -> float:
    return float(_number(value))


def _choice(known: tuple[str, ...], value: object) -> str:
    text = _text(value)
    if text not in known:
        near = nearest(text, list(known))
        raise _WrongValueError(
            f"cannot be {text!r}", f"did you mean {near!r}?" if near else f"one of {', '.join(known)}", text
        )
    return text


def _choices(known: tuple[str, ...], value: object) -> tuple[str, ...]:
    return tuple(_choice(known, text) for text in _texts(value))


def _prefixes(value: object) -> tuple[str, ...]:
    for text in _texts(value):
        try:
            ip_network(text)
        except ValueError as error:
            raise _WrongValueError(str(error), text=text) from None
    return tuple(_texts(value))


def _suites(value: object) -> tuple[Suite, ...]:
    found = []
    for text in _texts(value):
        try:
            found.append(parse_suite(text))
        except UnknownKeywordError as error:
            hint = f"did you mean {error.suggestion!r}?" if error.suggestion else ""
            raise _WrongValueError(f"there is no algorithm {error.word!r}", hint, text, error.offset) from None
    return tuple(found)


def _group(value: object) -> int:
    groups = tuple(word for word, spec in KEYWORDS.items() if spec.type == _KE)
    return KEYWORDS[_choice(groups, value)].id


def _numbers_of(registry: type[NotifyType | ConfigurationAttributeType], value: object) -> tuple[int, ...]:
    """Names of a registry; a number without a name in decimal."""
    names = tuple(member.name for member in registry)
    texts = _texts(value)
    _choices(names, [text for text in texts if not _NUMBER.fullmatch(text)])
    return tuple(int(text) if _NUMBER.fullmatch(text) else int(registry[text]) for text in texts)


def _octets(value: object) -> tuple[bytes, ...]:
    found = []
    for text in _texts(value):
        try:
            found.append(bytes.fromhex(text))
        except ValueError:
            raise _WrongValueError(f"{text!r} is not hexadecimal", text=text) from None
    return tuple(found)


Reader = Callable[[Any], Any]
_OFFER: dict[str, Reader] = {
    "proposals": _suites,
    "accepts": _suites,
    "lifetime": _seconds,
    "margin": _seconds,
    "rekeys": _flag,
    "group": _group,
}
TABLES: dict[str, dict[str, Reader]] = {
    "": {
        "title": _text,
        "sources": lambda value: tuple(_texts(value)),
        "roles": partial(_choices, ROLES),
        "modes": partial(_choices, MODES),
        "encapsulations": partial(_choices, ENCAPSULATIONS),
        "ips": partial(_choices, IPS),
        "selectors": _prefixes,
    },
    "authentication": {str(one): partial(_choice, IDENTITIES) for one in Authentication},
    "ike": _OFFER,
    "esp": {**_OFFER, "octets": _number},
    "liveness": {"interval": _seconds, "timeout": _seconds, "action": partial(_choice, LIVENESS_ACTIONS)},
    "announces": {
        "ike_sa_init": partial(_numbers_of, NotifyType),
        "ike_auth": partial(_numbers_of, NotifyType),
        "vendor_ids": _octets,
        "configuration": partial(_numbers_of, ConfigurationAttributeType),
        "signature_hashes": _flag,
        "initial_contact": _flag,
        "responder_identity": _flag,
    },
}
"""Table ("": none) -> key -> reader of its value. This is all that a file may say."""
_REQUIRED = {"": ("title", "sources", "roles", "modes", "encapsulations", "ips"), "ike": ("proposals",),
             "esp": ("proposals",)}  # fmt: skip


class _Reading:
    """One file on its way to a Profile; collects problems."""

    def __init__(self, path: Path, text: str, document: Mapping[str, object]) -> None:
        self._path, self._text, self._document = path, text, document
        self._problems: list[Problem] = []

    def examined(self) -> Examined:
        if not _NAME.fullmatch(self._path.stem):
            message = f"the file is called {self._path.stem!r}, which is no name: a-z, then a-z, 0-9 and -"
            self._problems.append(Problem(Spot(1, 1), message))
        for key, value in self._document.items():
            if key not in TABLES and key not in TABLES[""]:
                self._unknown("", key, [name for name in TABLES if name] if isinstance(value, dict) else [*TABLES[""]])
        values = {table: self._values(table) for table in TABLES}
        self._check(values)
        profile = None if self._problems else self._made(values)
        return Examined(self._path, self._text, profile, tuple(self._problems))

    def _values(self, table: str) -> dict[str, Any]:
        content = self._document.get(table, {}) if table else self._document
        readers, values = TABLES[table], {}
        if not isinstance(content, dict):
            self._complain("", table, f"{table} is a table: [{table}]")
            return {}
        for key, value in content.items():
            if key in readers:
                try:
                    values[key] = readers[key](value)
                except _WrongValueError as wrong:
                    spot = self._spot(table, key, wrong.text, wrong.offset)
                    self._problems.append(Problem(spot, f"{key}: {wrong.message}", wrong.hint))
            elif table:
                self._unknown(table, key, list(readers))
        for key in _REQUIRED.get(table, ()):
            if key not in content:
                self._problems.append(Problem(self._table_spot(table), f"{key} is missing"))
        return values

    def _check(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        for key in ("sources", "roles", "modes", "encapsulations", "ips"):
            if values[""].get(key) == ():
                self._complain("", key, f"{key} is empty")
        if not values["authentication"]:
            self._problems.append(Problem(self._table_spot("authentication"), "there is no authentication"))
        for table, needed in _NEEDS.items():
            for key in ("proposals", "accepts"):
                texts = self._document.get(table, {}).get(key, []) if values[table].get(key) else []  # type: ignore[attr-defined]
                for text, suite in zip(texts, values[table].get(key, ()), strict=True):
                    missing = [kind.name for kind in needed if kind not in {spec.type for spec in suite}]
                    if missing:
                        spot = self._spot(table, key, text)
                        self._problems.append(Problem(spot, f"a proposal without {' and '.join(missing)}"))

    def _made(self, values: Mapping[str, Mapping[str, Any]]) -> Profile:
        offers = {table: Offer(**{"accepts": values[table]["proposals"], **values[table]}) for table in ("ike", "esp")}
        top = {key: value for key, value in values[""].items() if key in {one.name for one in fields(Profile)}}
        return Profile(
            name=self._path.stem,
            path=self._path,
            **{"selectors": (), **top},
            identities={Authentication(key): kind for key, kind in values["authentication"].items()},
            ike=offers["ike"],
            esp=offers["esp"],
            liveness=Liveness(**values["liveness"]),
            announces=Announcements(**values["announces"]),
        )

    def _unknown(self, table: str, key: str, known: list[str]) -> None:
        near = nearest(key, known)
        self._complain(table, key, f"there is no key {key!r}", f"did you mean {near!r}?" if near else "")

    def _complain(self, table: str, key: str, message: str, hint: str = "") -> None:
        self._problems.append(Problem(self._spot(table, key), message, hint))

    def _table_spot(self, table: str) -> Spot:
        match = re.search(rf"^[ \t]*\[{re.escape(table)}\]", self._text, re.MULTILINE) if table else None
        return self._at(match.start() if match else 0)

    def _spot(self, table: str, key: str, value: str = "", offset: int = 0) -> Spot:
        """Where a key of a table is written, or the text of a value of it."""
        header = re.search(rf"^[ \t]*\[{re.escape(table)}\]", self._text, re.MULTILINE) if table else None
        start = header.end() if header else 0
        written = re.compile(rf"^[ \t]*(\[?{re.escape(key)})\b", re.MULTILINE).search(self._text, start)
        at = written.start(1) if written else start
        inside = self._text.find(f'"{value}"', at) if value else -1
        return self._at(at if inside < 0 else inside + 1 + offset)

    def _at(self, position: int) -> Spot:
        return Spot(
            self._text.count("\n", 0, position) + 1, position - self._text.rfind("\n", 0, position)
        )  # fmt: skip
