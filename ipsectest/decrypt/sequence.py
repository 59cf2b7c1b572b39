"""What the sequence numbers of an SA tell of the way it went: loss, replay, reordering."""

WINDOW = 4096
"""So far behind the highest number a packet still counts as late; what is older cannot be told from a replay."""
_ALL = (1 << WINDOW) - 1


class SequenceTrack:
    """Follows the numbers of one SA in the order of the capture; memory and time are bounded by ``WINDOW`` bits.

    Loss is counted between the first and the highest number seen: a capture may begin in the middle of an SA.
    """

    __slots__ = ("first", "highest", "late", "replayed", "seen", "unique")

    def __init__(self) -> None:
        self.first = 0
        self.highest = 0
        self.unique = 0
        """Numbers seen at least once."""
        self.replayed = 0
        """Packets whose number was seen before, or is older than the window."""
        self.late = 0
        """Packets overtaken by higher numbers."""
        self.seen = 0
        """Bit n: whether the number n below the highest was seen."""

    def take(self, sequence: int) -> bool:
        """Enter the number of a genuine packet; whether it is new."""
        if not self.unique:
            self.first = self.highest = sequence
            self.seen = 1
        elif sequence > self.highest:
            skipped = sequence - self.highest
            self.seen = (self.seen << skipped & _ALL | 1) if skipped < WINDOW else 1
            self.highest = sequence
        else:
            behind = self.highest - sequence
            if behind >= WINDOW or self.seen >> behind & 1:
                self.replayed += 1
                return False
            self.seen |= 1 << behind
            self.first = min(self.first, sequence)
            self.late += 1
        self.unique += 1
        return True

    def advance(self, count: int) -> None:
        """Enter ``count`` numbers that follow the highest."""
        self.highest += count
        self.unique += count
        self.seen = (self.seen << count | (1 << count) - 1) & _ALL if count < WINDOW else _ALL

    def merge(self, later: "SequenceTrack") -> None:
        """Add what was seen behind this; a packet that came on either side of the cut counts twice."""
        if not later.unique:
            return
        if not self.unique:
            self.first = later.first
        if later.highest > self.highest:
            self.highest, self.seen = later.highest, later.seen
        self.first = min(self.first, later.first)
        self.unique += later.unique
        self.late += later.late
        self.replayed += later.replayed

    @property
    def lost(self) -> int:
        """Numbers between the first and the highest that never came."""
        return max(0, self.highest - self.first + 1 - self.unique) if self.unique else 0
