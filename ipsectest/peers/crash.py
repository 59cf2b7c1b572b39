"""Whether a daemon is dead, and of what: a crash must never look like a refusal."""

import re
import signal
from pathlib import Path

from ipsectest.peers.host import Process

_LAST_WORDS = re.compile(
    r"killing ourself|received critical signal|ERROR: (?:Address|Leak|Memory|Thread)Sanitizer|runtime error: |"
    r"Assertion .* failed|ASSERTION FAILED|stack smashing detected|double free|malloc\(\):"
)
_TAIL = 6000


class CrashWatch:
    """Reads each file of a daemon's output once, as it grows, looking for last words.

    What is in the files already is of an earlier daemon of the same instance.
    """

    def __init__(self, process: Process, *logs: Path) -> None:
        self._process = process
        self._seen = {path: path.stat().st_size if path.exists() else 0 for path in (process.output, *logs)}
        self._words = ""

    def reason(self) -> str | None:
        """Why the daemon is dead or dying (a summary line, then the end of its output), or None while it is well."""
        for path in self._seen:
            self._read(path)
        status = self._process.status()
        if status is None and not self._words:
            return None
        parts = [self._words or _ending(status or 0)]
        parts += [f"core dump: {core.name}" for core in sorted(self._process.output.parent.glob("core*"))]
        parts += [_tail(path) for path in self._seen]
        return "\n".join(part for part in parts if part)

    def _read(self, path: Path) -> None:
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._seen[path])
            for line in file:
                if not line.endswith(b"\n"):
                    break  # the rest of it is yet to be written
                self._seen[path] += len(line)
                text = line.decode(errors="replace")
                if not self._words and _LAST_WORDS.search(text):
                    self._words = text.strip()


def _ending(status: int) -> str:
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _tail(path: Path) -> str:
    return path.read_bytes()[-_TAIL:].decode(errors="replace").strip() if path.exists() else ""
