"""Where scenario files are, and which of them a command line means."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ipsectest.base.errors import UsageError
from ipsectest.scenario.load import files, scenario_id
from ipsectest.scenario.model import Case
from ipsectest.scenario.requirements import scenarios_folder


def root(given: Path | None = None) -> Path:
    """The folder of scenarios: the one given, else that of the checkout or of the package."""
    if given and not given.is_dir():
        raise UsageError(f"{given} is no folder of scenarios")
    return from_here(given or scenarios_folder())


def from_here(path: Path) -> Path:
    """The path as reports show it: relative to the working directory, if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def select(patterns: Sequence[str], folder: Path) -> list[Path]:
    """The files that the patterns mean, each once: an id, a family, a glob of ids, or the path of a file or folder.

    ``id[variant]`` means the file of that id; `wanted` then picks the variant. Without patterns all files.
    UsageError names a pattern that means nothing, with the nearest id.
    """
    known = {scenario_id(path, folder): path for path in files([folder])}
    if not patterns:
        return list(known.values())
    chosen: dict[Path, None] = {}
    for pattern in patterns:
        matches = _matches(_split(pattern)[0], known)
        if not matches:
            near = difflib.get_close_matches(pattern, known, n=1)
            hint = f", did you mean {near[0]!r}?" if near else " (see ipsectest list)"
            raise UsageError(f"no scenario {pattern!r}{hint}")
        chosen |= dict.fromkeys(matches)
    return list(chosen)


def wanted(patterns: Sequence[str], cases: Sequence[Case]) -> list[Case]:
    """Leave out the variants that ``id[variant]`` patterns do not name; UsageError for one that is not there."""
    variants: dict[str, set[str]] = {}
    for name, variant in map(_split, patterns):
        if variant is not None:
            variants.setdefault(name.removesuffix(".toml"), set()).add(variant)
    for name, named in variants.items():
        there = {case.variant for case in cases if case.scenario == name}
        if missing := sorted(named - there):
            raise UsageError(f"{name} has no variant {missing[0]!r} (there are: {', '.join(sorted(there)) or 'none'})")
    return [c for c in cases if c.variant in variants.get(c.scenario, {c.variant})]


def _split(pattern: str) -> tuple[str, str | None]:
    """``id[variant]`` in two; a glob such as ``ike/[ab]*`` does not end in a bracket."""
    name, bracket, variant = pattern.partition("[")
    return (name, variant[:-1]) if bracket and variant.endswith("]") else (pattern, None)


def _matches(pattern: str, known: dict[str, Path]) -> list[Path]:
    name = pattern.rstrip("/").removesuffix(".toml")
    matches = [path for key, path in known.items() if key == name or key.startswith(f"{name}/")]
    matches = matches or [path for key, path in known.items() if fnmatchcase(key, name)]
    if not matches and Path(pattern).is_dir():
        matches = files([Path(pattern)])
    if not matches and pattern.endswith(".toml") and Path(pattern).is_file():
        matches = [Path(pattern)]
    return matches
