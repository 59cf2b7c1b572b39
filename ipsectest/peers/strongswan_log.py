"""Reading charon's log: the lines of one case among many, and what user-space ESP dropped."""

import re

_NAMED = re.compile(r"\[[A-Z]{3}\] <(?:(?P<name>[^|<>]+)\|)?(?P<id>\d+)>")
# What libipsec (strongSwan's user-space ESP) logs: the verdict on one line, the SPI on the next.
_REPLAY = re.compile(r"ESP sequence number verification failed:\s*\n.*SPI (?P<spi>[0-9a-f]{8})")


def lines_of_case(text: str, name: str, tester: str) -> str:
    """The lines that name the connection, its IKE SA numbers or the tester's address; in order."""
    lines = text.splitlines(keepends=True)
    found = [_NAMED.search(line) for line in lines]
    numbers = {m["id"] for m in found if m and m["name"] == name}
    address = re.compile(rf"(?<![\w.:]){re.escape(tester)}(?![\w:]|\.\d)")
    kept: list[str] = []
    for line, match in zip(lines, found, strict=True):
        if match and match["name"] not in {None, name}:
            continue
        if (match and (match["name"] == name or match["id"] in numbers)) or address.search(line):
            kept.append(line)
    return "".join(kept)


def count_replays(text: str, spis: set[str]) -> int:
    """ESP packets dropped for their sequence number on the given inbound SPIs (8 hexadecimal digits)."""
    return sum(match["spi"] in spis for match in _REPLAY.finditer(text))
