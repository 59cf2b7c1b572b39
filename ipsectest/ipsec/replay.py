"""The anti-replay window and the inference of the high half of extended sequence numbers.

RFC 4303 section 3.4.3 and appendix A2 (RFC 4302 has the same rules). The window is looked at
before the ICV is checked and moves only after: ``judge`` decides, ``accept`` moves.
"""

from ipsectest.ipsec.drop import DropReason

_WRAP = 1 << 32


class ReplayWindow:
    """Receive window of ``size`` sequence numbers ending at the highest authenticated one.

    size 0 turns the check off. With ESN the high half is still inferred then, as the number closest to ``highest``.
    """

    __slots__ = ("_seen", "esn", "highest", "size")

    def __init__(self, size: int = 64, *, esn: bool = False, highest: int = 0) -> None:
        self.size = size
        self.esn = esn
        self.highest = highest
        """T of RFC 4303 appendix A2.1: the highest sequence number authenticated so far, 0 before the first."""
        self._seen = 0  # bit n: number highest - n was received

    def infer(self, low: int) -> int:
        """The 64-bit sequence number meant by the 32 bits of the packet (RFC 4303 appendix A2.2).

        Negative where it lies before the SA's first packet: the far left of a fresh window.
        """
        if not self.esn:
            return low
        window = self.size or _WRAP // 2
        high, highest_low = divmod(self.highest, _WRAP)
        bottom = (highest_low - window + 1) % _WRAP
        if highest_low >= window - 1:  # case A: the window lies within one run of the low half
            return (high if low >= bottom else high + 1) * _WRAP + low
        return (high - 1 if low >= bottom else high) * _WRAP + low  # case B: it straddles the wrap

    def judge(self, sequence: int) -> DropReason | None:  # noqa: PLR0911  # a list of conditions in order
        """Why the (inferred) number is not acceptable; None if it is new."""
        if sequence < 0:
            return DropReason.LEFT_OF_WINDOW
        if sequence >= _WRAP * _WRAP:
            return DropReason.SEQUENCE_EXHAUSTED
        if self.size == 0:
            return None
        if sequence == 0:
            return DropReason.SEQUENCE_ZERO
        behind = self.highest - sequence
        if behind < 0:
            return None
        if behind >= self.size:
            return DropReason.LEFT_OF_WINDOW
        return DropReason.REPLAYED if self._seen >> behind & 1 else None

    def accept(self, sequence: int) -> None:
        """Enter the number of an authenticated packet and move the window if it is the highest."""
        ahead = sequence - self.highest
        if ahead > 0:
            # A leap beyond the window forgets everything; shifting by it would build a huge number first.
            self._seen = self._seen << ahead & (1 << self.size) - 1 if ahead < self.size else 0
            self.highest = sequence
            ahead = 0
        if -ahead < self.size:
            self._seen |= 1 << -ahead
