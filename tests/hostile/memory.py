"""How much memory a process holds."""

import gc
from pathlib import Path


def resident() -> float:
    """MB of memory that this process occupies."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def objects() -> int:
    """Containers that are reachable."""
    gc.collect()
    return len(gc.get_objects())
