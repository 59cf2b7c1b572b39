"""Where scenario files are, and which of them a command line means."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ipsectest.base.errors import UsageError
from ipsectest.scenario.load import files, scenario_id
from ipsectest.scenario.requirements import scenarios_folder


def root(given: Path | None = None) -> Path:
    """The folder of scenarios: the one given, else that of the checkout or of the package."""
    if given and not given.is_dir():
        raise UsageError(f"{given} is no folder of scenarios")
    return given or scenarios_folder()


def select(patterns: Sequence[str], folder: Path) -> list[Path]:
    """The files that the patterns mean, each once: an id, a family, a glob of ids, or the path of a file or folder.

    Without patterns all files. UsageError names a pattern that means nothing, with the nearest id.
    """
    known = {scenario_id(path, folder): path for path in files([folder])}
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
        matches = files([Path(pattern)])
    if not matches and pattern.endswith(".toml") and Path(pattern).is_file():
        matches = [Path(pattern)]
    return matches
