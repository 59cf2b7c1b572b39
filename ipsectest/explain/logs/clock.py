"""Times at the head of log lines."""

import re

_TIME = re.compile(r"(?:^|[ T])(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?")


def nanoseconds_of(head: str) -> int:
    """Since midnight; 0 for a line without a time."""
    match = _TIME.search(head)
    if match is None:
        return 0
    seconds = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3])
    return seconds * 1_000_000_000 + int((match[4] or "0").ljust(9, "0"))
