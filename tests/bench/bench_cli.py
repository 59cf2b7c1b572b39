"""CPU time of ``ipsectest --help`` against a bare interpreter."""

import resource
import statistics
import subprocess
import sys
from typing import Any

ROUNDS = 15


def cpu_milliseconds(arguments: list[str]) -> float:
    """User and system time of one child, in milliseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def benchmarks() -> list[dict[str, Any]]:
    """The median of interleaved rounds, so that load on the machine falls on both alike."""
    bare, helped = [], []
    for _ in range(ROUNDS):
        bare.append(cpu_milliseconds(["-c", "pass"]))
        helped.append(cpu_milliseconds(["-m", "ipsectest.cli.main", "--help"]))
    value, floor = statistics.median(helped), statistics.median(bare)
    return [
        {
            "name": "cli.help",
            "value": round(value, 2),
            "unit": "ms CPU",
            "ratio": round(value / floor, 2),
            "against": "python -c pass",
        }
    ]
