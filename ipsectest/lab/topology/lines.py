"""Which line of a TOML file a key stands on; tomllib does not say."""

import re

Path = tuple[str | int, ...]
"""Keys from the root; elements of ``[[tables]]`` by number."""

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*("[^"]*"|'[^']*'|[\w.-]+)\s*=""")


class Lines:
    """The lines of headers and keys of one text; only good enough for error messages."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        counts: dict[str, int] = {}
        table: Path = ()
        for number, line in enumerate(text.splitlines(), 1):
            if header := _HEADER.match(line):
                table = tuple(part.strip().strip("\"'") for part in header[2].split("."))
                if header[1] == "[[":
                    counts[header[2]] = counts.get(header[2], -1) + 1
                    table += (counts[header[2]],)
                self._lines.setdefault(table, number)
            elif key := _KEY.match(line):
                self._lines.setdefault((*table, key[1].strip("\"'")), number)

    def of(self, path: Path) -> int:
        """The line of a key, or of the nearest thing around it; 0 for the file as a whole."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 0)
