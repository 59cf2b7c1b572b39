"""Where scenario files are, and which of them a command line means."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ipsectest.base.errors import UsageError

_NO_SCENARIOS = frozenset({"requirements", "expected", "profiles"})
_INSTALLED = Path(__file__).parents[1] / "data" / "scenarios"
_CHECKOUT = Path(__file__).parents[2] / "scenarios"


def root(given: Path | None = None) -> Path:
    """The folder of scenarios: the one given, that of the working directory, of this checkout or of the package."""
    if given:
        if not given.is_dir():
            raise UsageError(f"{given} is no folder of scenarios")
        return given
    for candidate in (Path("scenarios"), _CHECKOUT, _INSTALLED):
        if (candidate / "requirements").is_dir():
            return candidate
    raise UsageError("no folder of scenarios here; name one with --scenarios DIR")


def scenario_id(path: Path, folder: Path) -> str:
    """``ike/init/cookie`` for scenarios/ike/init/cookie.toml; a file elsewhere keeps its bare name."""
    try:
        relative = path.resolve().relative_to(folder.resolve())
    except ValueError:
        return path.stem
    return relative.with_suffix("").as_posix()


def files(folder: Path) -> list[Path]:
    """All scenario files below folder, sorted by id."""
    found = (p for p in folder.rglob("*.toml") if p.relative_to(folder).parts[0] not in _NO_SCENARIOS)
    return sorted(found)


def select(patterns: Sequence[str], folder: Path) -> list[Path]:
    """The files that the patterns mean, each once: an id, a family, a glob of ids, or the path of a file or folder.

    Without patterns all files. UsageError names a pattern that means nothing, with the nearest id.
    """
    known = {scenario_id(path, folder): path for path in files(folder)}
    if not patterns:
        return list(known.values())
    chosen: dict[Path, None] = {}
    for pattern in patterns:
        matches = _matches(pattern, known)
        if not matches:
            near = difflib.get_close_matches(pattern, known, n=1)
            hint = f", did you mean {near[0]!r}?" if near else " (see ipsectest list)"
            raise UsageError(f"no scenario {pattern!r}{hint}")
        chosen |= dict.fromkeys(matches)
    return list(chosen)


def _matches(pattern: str, known: dict[str, Path]) -> list[Path]:
    name = pattern.rstrip("/").removesuffix(".toml")
    matches = [path for key, path in known.items() if key == name or key.startswith(f"{name}/")]
    matches = matches or [path for key, path in known.items() if fnmatchcase(key, name)]
    if not matches and Path(pattern).is_dir():
        matches = files(Path(pattern))
    if not matches and pattern.endswith(".toml") and Path(pattern).is_file():
        matches = [Path(pattern)]
    return matches
