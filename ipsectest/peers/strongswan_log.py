"""Reading charon's log: the lines of one case among many, and what user-space ESP dropped."""

import re

_NAMED = re.compile(r"\[[A-Z]{3}\] <(?:(?P<name>[^|<>]+)\|)?(?P<id>\d+)>")
_REPLAY = re.compile(r"ESP sequence number verification failed:|(?:detected|received) .*replay")
_WRONG_ICV = re.compile(r"ESP (?:decryption or )?ICV verification failed|ESP packet .*integrity")


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
    """ESP packets dropped for their sequence number, on the given inbound SPIs (hexadecimal, as charon prints them)."""
    return _count(_REPLAY, text, spis)


def count_wrong_icvs(text: str, spis: set[str]) -> int:
    """ESP packets dropped because the ICV was wrong; charon does not say on which SA, so all of them."""
    return _count(_WRONG_ICV, text, set())


def _count(what: re.Pattern[str], text: str, spis: set[str]) -> int:
    lines = text.splitlines()
    total = 0
    for number, line in enumerate(lines):
        if what.search(line):
            context = " ".join(lines[number : number + 2])
            total += not spis or any(spi in context for spi in spis)
    return total
