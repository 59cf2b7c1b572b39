"""Which daemons wrote a log, told by its content; the whole of it as facts."""

from collections.abc import Callable
from pathlib import Path

from ipsectest.decrypt.keys.source import Source
from ipsectest.explain.logs import charon, pluto
from ipsectest.explain.logs.model import LogFacts

_DAEMONS = {"strongSwan": (charon.MARK, charon.CharonLog), "Libreswan": (pluto.MARK, pluto.PlutoLog)}
_MARKED = 400
"""Characters of a line in which a daemon's mark stands."""


def daemons_of(head: str) -> list[str]:
    """The daemons whose lines the beginning of a file has, the one with most of them first."""
    lines = [line[:1000] for line in head.splitlines()]
    counts = {name: sum(bool(mark.search(line)) for line in lines) for name, (mark, _) in _DAEMONS.items()}
    return sorted((name for name, count in counts.items() if count), key=lambda name: -counts[name])


def read_logs(path: Path, name: str, *, looked: Callable[[], None] = lambda: None) -> list[LogFacts]:
    """The facts of each daemon in a log, none of a file that is no log; InputError. ``looked`` follows each line."""
    source = Source(path)
    head = source.head()
    daemons = [] if "\0" in head[:1000] else daemons_of(head)
    if not daemons:
        return []
    facts = [LogFacts(name, daemon) for daemon in daemons]
    first, *others = readers = [_DAEMONS[one.daemon][1](one) for one in facts]
    marks = [_DAEMONS[daemon][0] for daemon in daemons]
    for number, line in source.lines():
        reader: charon.CharonLog | pluto.PlutoLog = first
        if others:  # the journal of a machine, or of several
            reader = next((one for one, mark in zip(readers, marks, strict=True) if mark.search(line[:_MARKED])), first)
        reader.take(number, line)
        looked()
    return facts
