"""What the sequence numbers of an SA tell of the way it went: loss, replay, reordering."""

from ipsectest.decrypt.marks import Gap, Gaps

WINDOW = 4096
"""So far behind the highest number a packet still counts as late; what is older cannot be told from a replay."""
_ALL = (1 << WINDOW) - 1
_FIRST_ONES = 64
"""Numbers that are remembered one by one, for whoever knows what came before them."""


class SequenceTrack:
    """Follows the numbers of one SA in the order of the capture; memory and time are bounded by ``WINDOW`` bits.

    Loss is counted between the first and the highest number seen: a capture may begin in the middle of an SA.
    """

    __slots__ = ("began", "behind", "early", "ended", "first", "gaps", "highest", "late", "replayed", "seen", "unique")

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
        self.early: list[int] = []
        """The first numbers, as they came."""
        self.behind = 0
        """The lowest of all others; 0: there are none."""
        self.gaps = Gaps()
        """Numbers that are missing, with the times around them."""
        self.began = self.ended = 0
        """Times of the first packet and of the last, nanoseconds since 1970."""

    def take(self, sequence: int, at: int = 0) -> bool:
        """Enter the number of a genuine packet captured ``at`` nanoseconds; whether it is new."""
        since, self.ended = self.ended if self.unique else at, at
        if len(self.early) < _FIRST_ONES:
            self.early.append(sequence)
        elif sequence < self.behind or not self.behind:
            self.behind = sequence
        if not self.unique:
            self.first = self.highest = sequence
            self.seen, self.began = 1, at
        elif sequence > self.highest:
            skipped = sequence - self.highest
            if skipped > 1:
                self.gaps.add(Gap(self.highest + 1, sequence - 1, skipped - 1, since, at))
            self.seen = (self.seen << skipped & _ALL | 1) if skipped < WINDOW else 1
            self.highest = sequence
        else:
            behind = self.highest - sequence
            if behind >= WINDOW or self.seen >> behind & 1:
                self.replayed += 1
                return False
            self.seen |= 1 << behind
            self.late += 1
            if sequence < self.first:
                self.gaps.add(Gap(sequence + 1, self.first - 1, self.first - 1 - sequence, self.began, at))
                self.first = sequence
            else:
                self.gaps.fill(sequence)
        self.unique += 1
        return True

    def advance(self, count: int, first: int = 0, last: int = 0) -> None:
        """Enter ``count`` numbers that follow the highest, from packets of these times on and to."""
        self.began, self.ended = self.began if self.unique else first, last
        self.behind = self.behind or self.highest + 1
        self.highest += count
        self.unique += count
        self.seen = (self.seen << count | (1 << count) - 1) & _ALL if count < WINDOW else _ALL

    def takes_as_new(self, later: "SequenceTrack") -> bool:
        """Whether numbers that were new to ``later`` by itself are new behind these as well."""
        if not self.unique:
            return True
        if 0 < later.behind <= self.highest:
            return False  # perhaps; who knows
        low = [number for number in later.early if number <= self.highest]
        return all(self.highest - one < WINDOW and not self.seen >> (self.highest - one) & 1 for one in low)

    def merge(self, later: "SequenceTrack") -> None:
        """Add what was seen behind this, all of it new (``takes_as_new``)."""
        if not later.unique:
            return
        self._merge_gaps(later)
        if not self.unique:
            self.first, self.highest = later.first, later.highest
        self.late += self._overtaken(later.early)
        ahead = later.highest - self.highest
        if ahead > 0:
            self.seen = later.seen | (self.seen << ahead & _ALL if ahead < WINDOW else 0)
            self.highest = later.highest
        else:
            self.seen |= later.seen << -ahead & _ALL if -ahead < WINDOW else 0
        self.first = min(self.first, later.first)
        self.unique += later.unique
        self.late += later.late
        self.replayed += later.replayed

    def _merge_gaps(self, later: "SequenceTrack") -> None:
        if not self.unique:
            self.gaps, self.began, self.ended = later.gaps.copy(), later.began, later.ended
            return
        self.gaps = self.gaps.copy()  # a copy of this track may have the same
        lowest = self.first
        for number in later.early:
            if number < lowest:
                self.gaps.add(Gap(number + 1, lowest - 1, lowest - 1 - number, self.began, later.began))
                lowest = number
            elif number <= self.highest:
                self.gaps.fill(number)
        # What its first packet leaves out is missing from the last one before it on.
        around = {"since": self.ended, "until": later.began}
        ahead = [gap._replace(**around) if gap.last < later.early[0] else gap for gap in later.gaps.above(self.highest)]
        between = later.first - self.highest - 1
        if between > 0:
            ahead.insert(0, Gap(self.highest + 1, later.first - 1, between, self.ended, later.began))
        for gap in ahead:
            self.gaps.add(gap)
        self.ended = later.ended

    def _overtaken(self, numbers: list[int]) -> int:
        """How many of the first numbers behind these are late behind these only."""
        count, highest = 0, 0
        for number in numbers if self.unique else ():
            count += highest < number <= self.highest
            highest = max(highest, number)
        return count

    @property
    def lost(self) -> int:
        """Numbers between the first and the highest that never came."""
        return max(0, self.highest - self.first + 1 - self.unique) if self.unique else 0
