"""TOML files -> scenarios and cases; every problem keeps its line and column in the file."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ipsectest.base.errors import InputError, Place
from ipsectest.base.toml_tables import parse, read_text
from ipsectest.scenario.facts import FactError, read_facts
from ipsectest.scenario.model import Case, Facts, Scenario, Spot, Tests, UseTunnel
from ipsectest.scenario.reader import Problem, read_script
from ipsectest.scenario.syntax import nearest

TOP_KEYS = ("title", "why", "tests", "cites", "proof", "see", "peer", "tester", "script", "variant")
RESERVED = {"name", "proof", "cites", "peer", "tester"}
"""Keys of a variant that are not ``$words``."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A file that was read as far as possible: ``scenario`` is None if it cannot be run."""

    path: Path
    text: str
    scenario: Scenario | None
    problems: tuple[Problem, ...]


def load(path: Path, root: Path | None = None) -> Scenario:
    """The scenario of a file; InputError with file:line:col for the first problem."""
    examined = examine(path, root)
    if examined.scenario is None or examined.problems:
        problem = examined.problems[0]
        raise InputError(problem.message, Place(path, problem.spot.line, problem.spot.column), hint=problem.hint)
    return examined.scenario


def cases(scenario: Scenario) -> list[Case]:
    """One case for each variant (and role, for ``tests = "either"``)."""
    return list(scenario.cases)


def files(paths: Iterable[Path]) -> list[Path]:
    """Scenario files among paths, folders searched; requirements and expectations are no scenarios."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = sorted(path.rglob("*.toml"))
            found += [p for p in below if not {"expected", "profiles", "requirements"} & set(p.relative_to(path).parts)]
        elif path.is_file():
            found.append(path)
        else:
            raise InputError("there is no such file or folder", Place(path))
    return list(dict.fromkeys(found))


def scenario_id(path: Path, root: Path | None = None) -> str:
    """The path below the scenarios folder (or ``root``) without suffix."""
    absolute = path.resolve()
    for folder in [root.resolve()] if root else absolute.parents:
        if root or folder.name == "scenarios":
            try:
                return absolute.relative_to(folder).with_suffix("").as_posix()
            except ValueError:
                break
    return path.stem


def examine(path: Path, root: Path | None = None) -> Examined:
    """Read a file and collect all problems. InputError only if it cannot be opened."""
    text = read_text(path)
    try:
        document = parse(text, path)
    except InputError as error:
        return Examined(path, text, None, (toml_problem(error),))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return _Reading(path, text, document, scenario_id(path, root), digest).examined()


def toml_problem(error: InputError) -> Problem:
    """Why a file is no TOML, at the place that is known."""
    place = error.place or Place("")
    return Problem(Spot(place.line or 1, place.column or 1), error.message)


class _Reading:
    """One file on its way to a Scenario; collects problems."""

    def __init__(self, path: Path, text: str, document: Facts, id_: str, digest: str) -> None:
        self.path = path
        self.text = text
        self.document = document
        self.id = id_
        self.digest = digest
        self.problems: list[Problem] = []

    def examined(self) -> Examined:
        self._check_keys()
        tests = self._tests()
        script, first_line = self._script()
        variants = self._variants()
        made: list[Case] = []
        used: set[str] = set()
        for variant in variants:
            made += self._cases_of(variant, tests, script, first_line, used)
        self._check_words(variants, used)
        cites = dict.fromkeys(c for case in made for c in case.cites)
        scenario = Scenario(
            self.id, self.path, self._text("title"), self._text("why"), tests, tuple(cites),
            self._list("proof"), self._list("see"), script, first_line, self.digest, tuple(made),
        )  # fmt: skip
        unique = tuple(dict.fromkeys(self.problems))
        return Examined(self.path, self.text, scenario if made else None, unique)

    def spot(self, key: str, start: int = 0) -> Spot:
        """Where a key is written."""
        match = re.compile(rf"^[ \t]*({re.escape(key)})\s*=", re.MULTILINE).search(self.text, start)
        if match is None:
            return Spot(1, 1)
        return Spot(
            self.text.count("\n", 0, match.start(1)) + 1, match.start(1) - self.text.rfind("\n", 0, match.start(1))
        )

    def complain(self, key: str, message: str, hint: str = "") -> None:
        """Note a problem at a key."""
        self.problems.append(Problem(self.spot(key), message, hint))

    def _check_keys(self) -> None:
        for key in self.document:
            if key not in TOP_KEYS:
                near = nearest(key, list(TOP_KEYS))
                self.complain(key, f"there is no key {key!r}", f"did you mean {near!r}?" if near else "")
        for key in ("title", "tests", "script"):
            if key not in self.document:
                self.problems.append(Problem(Spot(1, 1), f"{key} is missing"))

    def _text(self, key: str) -> str:
        value = self.document.get(key, "")
        if not isinstance(value, str):
            self.complain(key, f"{key} is a text")
            return ""
        return value.strip() if key == "why" else value

    def _list(self, key: str, variant: Mapping[str, object] | None = None) -> tuple[str, ...]:
        value = (variant or {}).get(key, self.document.get(key, []))
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            self.complain(key, f"{key} is a list of texts")
            return ()
        return tuple(value)

    def _tests(self) -> Tests:
        value = self.document.get("tests", "responder")
        known = [t.value for t in Tests]
        if value not in known:
            near = nearest(str(value), known)
            self.complain(
                "tests",
                f"tests cannot be {value!r}",
                f"did you mean {near!r}?" if near else f"one of {', '.join(known)}",
            )
            return Tests.RESPONDER
        return Tests(value)

    def _script(self) -> tuple[str, int]:
        """The script and the line of the file on which it begins."""
        script = self._text("script")
        match = re.search(r"^script\s*=\s*'''(\n?)", self.text, re.MULTILINE)
        if match is None:
            if script:
                self.complain(
                    "script", "the script is written between ''' and '''", "so that lines and columns are exact"
                )
            return script, self.spot("script").line
        return script, self.text.count("\n", 0, match.end()) + 1

    def _variants(self) -> list[dict[str, object]]:
        variants = self.document.get("variant", [])
        if not isinstance(variants, list) or not all(isinstance(v, dict) for v in variants):
            self.complain("variant", "variants are written as [[variant]] tables")
            return [{}]
        names = [v.get("name") for v in variants]
        for name in names:
            if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
                self.complain("name", "a variant needs a name of letters, digits, - and .")
            elif names.count(name) > 1:
                self.complain("name", f"two variants are called {name!r}")
        return variants or [{}]

    def _cases_of(
        self, variant: Mapping[str, object], tests: Tests, script: str, first_line: int, used: set[str]
    ) -> list[Case]:
        values = {k: v for k, v in variant.items() if k not in RESERVED and isinstance(v, str)}
        for key, value in variant.items():
            if key not in RESERVED and not isinstance(value, str):
                self.complain(key, f"${key} is a text, also for numbers")
        read = read_script(script, first_line, values)
        self.problems += read.problems
        used |= read.words
        case = Case(
            self.id, str(variant.get("name", "")), self._text("title"), self._text("why"), tests,
            tests is Tests.INITIATOR, self._list("cites", variant), self._list("proof", variant),
            self._facts("peer", variant), self._facts("tester", variant), tuple(read.lines), self.path, self.digest,
        )  # fmt: skip
        if tests is not Tests.EITHER:
            return [case]
        if read.lines and not isinstance(read.lines[0], UseTunnel):
            self.problems.append(Problem(read.lines[0].spot, "a script for either role begins with: use tunnel net"))
        names = {role: f"{case.variant},{role}".lstrip(",") for role in ("peer-responds", "peer-initiates")}
        return [
            replace(case, variant=names["peer-responds"]),
            replace(case, variant=names["peer-initiates"], peer_initiates=True),
        ]

    def _facts(self, whose: str, variant: Mapping[str, object]) -> Facts:
        merged: Facts = {}
        for table in (self.document.get(whose, {}), variant.get(whose, {})):
            if not isinstance(table, dict):
                self.complain(whose, f"{whose} is a table: {whose}.ike = ...")
                return {}
            merged |= table
        try:
            return read_facts(whose, merged)
        except FactError as problem:
            self.complain(f"{whose}.{problem.key}", problem.message, problem.hint)
            return {}

    def _check_words(self, variants: list[dict[str, object]], used: set[str]) -> None:
        for key in dict.fromkeys(k for v in variants for k in v):
            if key not in RESERVED and key not in used:
                self.complain(key, f"${key} is set but the script does not use it")
