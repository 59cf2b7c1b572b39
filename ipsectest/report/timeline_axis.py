"""A time axis with round numbers."""

from dataclasses import dataclass

NANOSECONDS = 1_000_000_000
_MOST = 6
_STEPS = (
    *(base * 10**power / 10**6 for power in range(6) for base in (1, 2, 5)),
    1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400,
)  # fmt: skip
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Axis:
    """From the beginning of all to its end, in nanoseconds, on a width in units of the picture."""

    begin: int
    end: int
    left: float
    width: float

    def x(self, at: int) -> float:
        """Where a time is; times outside are at the edge."""
        share = (min(max(at, self.begin), self.end) - self.begin) / max(1, self.end - self.begin)
        return round(self.left + self.width * share, 1)

    def ticks(self, most: int = _MOST) -> list[tuple[float, str]]:
        """(x, text) of round times since the beginning."""
        seconds = (self.end - self.begin) / NANOSECONDS
        step = next((step for step in _STEPS if seconds / step <= most), _DAY)
        while seconds / step > most:
            step *= 2
        count = int(seconds / step) + 1
        return [(self.x(self.begin + round(n * step * NANOSECONDS)), in_words(n * step, step)) for n in range(count)]


def in_words(seconds: float, step: float | None = None) -> str:
    """``250 ms``, ``2 s``, ``15 min`` ...: in the unit of ``step``."""
    step = seconds if step is None else step
    for unit, size in (("d", _DAY), ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if step >= size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.4g} s"
