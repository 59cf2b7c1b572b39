"""What the sequence numbers of an SA tell of the way it went: loss, replay, reordering."""

from collections import OrderedDict

WINDOW = 4096
"""So far behind the highest number a packet still counts as late; what is older cannot be told from a replay."""


class SequenceTrack:
    """Follows the numbers of one SA in the order of the capture; memory is bounded by ``WINDOW``.

    Loss is counted between the first and the highest number seen: a capture may begin in the middle of an SA.
    """

    __slots__ = ("_missing", "first", "highest", "late", "replayed", "unique")

    def __init__(self) -> None:
        self.first = 0
        self.highest = 0
        self.unique = 0
        """Numbers seen at least once."""
        self.replayed = 0
        """Packets whose number was seen before, or is older than the window."""
        self.late = 0
        """Packets overtaken by higher numbers."""
        self._missing: OrderedDict[int, None] = OrderedDict()

    def take(self, sequence: int) -> bool:
        """Enter the number of a genuine packet; whether it is new."""
        if not self.unique:
            self.first = self.highest = sequence
        elif sequence > self.highest:
            self._skip(self.highest + 1, sequence)
            self.highest = sequence
        elif sequence in self._missing:
            del self._missing[sequence]
            self.late += 1
        elif 0 <= self.first - sequence <= WINDOW and sequence < self.first:
            self._missing.update(dict.fromkeys(range(sequence + 1, self.first)))
            self.first = sequence
            self.late += 1
        else:
            self.replayed += 1
            return False
        self.unique += 1
        return True

    def advance(self, count: int) -> None:
        """Enter ``count`` numbers that follow the highest."""
        self.highest += count
        self.unique += count

    def merge(self, later: "SequenceTrack") -> None:
        """Add what was seen behind this; a packet that came on either side of the cut counts twice."""
        if not later.unique:
            return
        if not self.unique:
            self.first = later.first
        self.first = min(self.first, later.first)
        self.highest = max(self.highest, later.highest)
        self.unique += later.unique
        self.late += later.late
        self.replayed += later.replayed

    @property
    def lost(self) -> int:
        """Numbers between the first and the highest that never came."""
        return max(0, self.highest - self.first + 1 - self.unique) if self.unique else 0

    def _skip(self, start: int, end: int) -> None:
        for number in range(max(start, end - WINDOW), end):
            self._missing[number] = None
        while len(self._missing) > WINDOW:
            self._missing.popitem(last=False)
