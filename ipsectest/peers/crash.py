"""Whether a daemon is dead, and of what: a crash must never look like a refusal."""

import re
import signal
from pathlib import Path

from ipsectest.peers.host import Process

_LAST_WORDS = re.compile(
    r"killing ourself|received critical signal|ERROR: (?:Address|Leak|Memory|Thread)Sanitizer|runtime error: |"
    r"Assertion .* failed|ASSERTION FAILED|EXPECTATION FAILED|stack smashing detected|double free|malloc\(\):"
)
_TAIL_LINES = 40


def crash_reason(process: Process, log: Path, directory: Path) -> str | None:
    """Why the daemon is dead or dying (first line a summary, then the end of its log), or None while it is well."""
    said = [*_lines(log), *_lines(process.output)]
    words = next((line for line in said if _LAST_WORDS.search(line)), "")
    status = process.status()
    if status is None and not words:
        return None
    summary = words or _ending(status or 0)
    cores = ", ".join(sorted(path.name for path in directory.glob("core*")))
    if cores:
        summary += f"; core dump: {cores}"
    return "\n".join([summary, *said[-_TAIL_LINES:]])


def _ending(status: int) -> str:
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.exists() else []
