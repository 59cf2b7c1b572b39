"""Notes that running processes leave in their lab's directory, for commands that come later to find them."""

import json
import os
from pathlib import Path
from typing import Any

from ipsectest.lab.journal import runtime_directory, start_time


def leave(directory: Path, name: str, told: dict[str, Any]) -> None:
    """Write a note of this process, complete or not at all; it goes with the directory."""
    me = os.getpid()
    written = directory / f"{name}.new"
    written.write_text(json.dumps({**told, "pid": me, "start": start_time(me)}))
    written.rename(directory / name)


def living(name: str) -> list[dict[str, Any]]:
    """Notes of this name whose process lives, the newest first; ``pid`` and ``start`` name the process."""
    found = []
    for path in runtime_directory().glob(f"*/{name}"):
        try:
            told = json.loads(path.read_text())
            if start_time(told["pid"]) == told["start"]:
                found.append(told)
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return sorted(found, key=lambda told: -int(told["start"]))
