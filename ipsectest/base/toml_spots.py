"""Where in a TOML file a key stands; tomllib does not say."""

import re

Keys = tuple[str | int, ...]
"""Keys from the root; elements of ``[[tables]]`` by number."""

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*("[^"]*"|'[^']*'|[\w.-]+)\s*=""")
_PARTS = re.compile(r"""("[^"]*"|'[^']*'|[\w-]+)""")


class Spots:
    """Line and column of headers and keys of one text; only good enough for error messages."""

    def __init__(self, text: str) -> None:
        self._spots: dict[Keys, tuple[int, int]] = {}
        counts: dict[str, int] = {}
        table: Keys = ()
        for number, line in enumerate(text.splitlines(), 1):
            if header := _HEADER.match(line):
                table = tuple(part.strip().strip("\"'") for part in header[2].split("."))
                if header[1] == "[[":
                    counts[header[2]] = counts.get(header[2], -1) + 1
                    table += (counts[header[2]],)
                self._spots.setdefault(table, (number, header.start(1) + 1))
            elif key := _KEY.match(line):
                name = tuple(part.strip("\"'") for part in _PARTS.findall(key[1]))
                self._spots.setdefault((*table, *name), (number, key.start(1) + 1))

    def of(self, path: Keys) -> tuple[int, int]:
        """Of a key, or of the nearest thing around it; 0 and 0 for the file as a whole."""
        while path and path not in self._spots:
            path = path[:-1]
        return self._spots.get(path, (0, 0))
