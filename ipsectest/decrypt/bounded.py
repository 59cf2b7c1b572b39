"""A table whose entries a capture decides on: bounded in number and octets, the oldest is given up for a new one."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """At most ``most`` entries, of together at most ``octets`` as far as whoever puts them says so."""

    def __init__(self, most: int, octets: int) -> None:
        self._most = most
        self._left = octets
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: K, value: V, octets: int) -> None:
        """Enter a value of this size, as the newest."""
        self.pop(key)
        self._entries[key] = value, octets
        self._left -= octets
        while len(self._entries) > self._most or (self._left < 0 and len(self._entries) > 1):
            self._left += self._entries.popitem(last=False)[1][1]

    def get(self, key: K) -> V | None:
        """The value, if it is there still."""
        entry = self._entries.get(key)
        return entry[0] if entry else None

    def values(self) -> list[V]:
        """All of them, the oldest first."""
        return [value for value, _ in self._entries.values()]

    def items(self) -> list[tuple[K, V]]:
        """All of them with their keys, the oldest first."""
        return [(key, value) for key, (value, _) in self._entries.items()]

    def clear(self) -> None:
        """Take everything out."""
        for key in list(self._entries):
            self.pop(key)

    def pop(self, key: K) -> V | None:
        """Take the value out."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        self._left += entry[1]
        return entry[0]
