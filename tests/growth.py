"""How the cost of something grows with its size, on a machine that does other things too."""

import gc
import time
from collections.abc import Callable

LARGER = 4
SQUARE = LARGER * LARGER
ROUNDS = 5


def growth(task: Callable[[int], object], size: int) -> float:
    """CPU time of a task of four times the size over that of the size: near 4 if it is linear, near 16 for a square.

    The best of several rounds, in which both take turns: whatever disturbs only adds.
    """
    small, large = zip(*((_seconds(task, size), _seconds(task, LARGER * size)) for _ in range(ROUNDS)), strict=True)
    return min(large) / max(min(small), 1e-4)


def _seconds(task: Callable[[int], object], size: int) -> float:
    gc.collect()
    started = time.process_time()
    task(size)
    return time.process_time() - started
