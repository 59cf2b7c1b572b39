"""``ipsectest decrypt`` on a large file: wall time of two workers against one, and memory.

``IPSECTEST_BENCH_GIGABYTES`` (2) of AES-GCM-256, in a file system in memory if there is one with room: otherwise the
speed of a disk is what is measured.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.bench_decrypt import ROOT, SIZES, Material, material

GIGABYTES = float(os.environ.get("IPSECTEST_BENCH_GIGABYTES", "2"))
ROUNDS = 3
_FRAME = sum(SIZES) // len(SIZES) + 100
"""Octets in the file of a packet, about."""
_MEMORY = Path("/dev/shm")


def run(made: Material, out: Path, jobs: int) -> tuple[float, int]:
    """Seconds of wall time; KiB of memory at most, of the parent or of the largest worker."""
    argv = [sys.executable, "-m", "ipsectest.cli.main", "decrypt", str(made.capture), "-k", str(made.keys)]
    start = time.monotonic()
    with subprocess.Popen([*argv, "-o", str(out), "--jobs", str(jobs)], stdout=subprocess.DEVNULL, cwd=ROOT) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - start
    if process.returncode:
        raise RuntimeError(f"decrypt --jobs {jobs} exited with {process.returncode}")
    return seconds, usage.ru_maxrss


def benchmarks() -> list[dict[str, Any]]:
    """Seconds with one and two workers, memory in MB against the size of the file."""
    octets = int(GIGABYTES * 1e9)
    room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 3 * octets
    with tempfile.TemporaryDirectory(prefix="ipsectest-bench-", dir=_MEMORY if room else None) as name:
        made = material("aes256gcm16", Path(name), octets // _FRAME)
        size = made.capture.stat().st_size / 1e6
        out = Path(name) / "out"
        measured: dict[int, list[tuple[float, int]]] = {1: [], 2: []}
        for _ in range(ROUNDS):  # in turn: what slows the machine down slows both
            for jobs, found in measured.items():
                found.append(run(made, out, jobs))
                out.unlink()
    one, two = (min(seconds for seconds, _ in found) for found in measured.values())
    return [
        {"name": "decrypt --jobs 2", "value": two, "unit": "s", "ratio": one / two, "against": "--jobs 1"},
        *(
            {
                "name": f"decrypt --jobs {jobs}, memory",
                "value": max(memory for _, memory in found) * 1024 / 1e6,
                "unit": "MB",
                "ratio": size / (max(memory for _, memory in found) * 1024 / 1e6),
                "against": f"a file of {size:.0f} MB",
            }
            for jobs, found in measured.items()
        ),
    ]
