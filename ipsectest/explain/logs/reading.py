"""Which daemon wrote a log, told by its content; the whole of it as facts."""

from collections.abc import Callable
from pathlib import Path

from ipsectest.decrypt.keys.source import Source
from ipsectest.explain.logs import charon, pluto
from ipsectest.explain.logs.model import LogFacts

_DAEMONS = {"strongSwan": (charon.MARK, charon.CharonLog), "Libreswan": (pluto.MARK, pluto.PlutoLog)}


def daemon_of(head: str) -> str:
    """The daemon whose lines the beginning of a file has; empty for anything else."""
    lines = [line[:1000] for line in head.splitlines()]
    counts = {name: sum(bool(mark.search(line)) for line in lines) for name, (mark, _) in _DAEMONS.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else ""


def read_log(path: Path, name: str, *, looked: Callable[[], None] = lambda: None) -> LogFacts | None:
    """The facts of a log, None for a file that is none; InputError. ``looked`` follows each line."""
    source = Source(path)
    head = source.head()
    daemon = "" if "\0" in head[:1000] else daemon_of(head)
    if not daemon:
        return None
    facts = LogFacts(name, daemon)
    reader = _DAEMONS[daemon][1](facts)
    for number, line in source.lines():
        reader.take(number, line)
        looked()
    return facts
