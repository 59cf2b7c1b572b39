"""``python -m tests.hostile.files --count 1000000``: mutated captures and key files, with the numbers."""

# ruff: noqa: T201 - this is a command

import argparse
import ctypes
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from ipsectest.decrypt import fast
from ipsectest.decrypt.capture import Window
from ipsectest.decrypt.native import library
from tests.hostile.files.attack import FileAttack
from tests.hostile.memory import resident

STEPS = 20
MOST_SHOWN = 20
MOST_GROWTH = 8.0
"""MB."""


def main() -> int:
    """Throw the files in steps, and tell the memory after each."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.files", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="files in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this one file, which stays in the folder")
    parser.add_argument("--library", type=Path, help="the fast path in another build (script/sanitize)")
    parser.add_argument("--folder", type=Path, help="where the files are written; default: one that is removed")
    options = parser.parse_args()
    if options.library:
        library.LIBRARY = options.library
        fast._ROOM = library.RESERVE
        fast.FastPath._octets = staticmethod(_copied)
        if library.load() is None:
            parser.error(f"{options.library} cannot be loaded")
    with TemporaryDirectory() as temporary:
        attack = FileAttack(options.seed, options.folder or Path(temporary), only_fast=bool(options.library))
        if options.only is not None:
            attack.run(range(options.only, options.only + 1))
            return 0
        return _run(attack, options.count)


def _copied(window: Window) -> "ctypes.Array[ctypes.c_char]":
    """What is in memory of a file in a buffer of just that size, behind which the sanitizer watches."""
    return ctypes.create_string_buffer(bytes(window.buffer[: window.end]), window.end)


def _run(attack: FileAttack, count: int) -> int:
    print(f"{count} files, seed {attack.seed}; {resident():.1f} MB at the start")
    started, memory = time.perf_counter(), []
    bad = 0
    for step in range(STEPS):
        for failure in attack.failures(range(step * count // STEPS, (step + 1) * count // STEPS)):
            bad += 1
            if bad <= MOST_SHOWN:
                print(f"{failure}"[:2000])
        memory.append(resident())
        took = time.perf_counter() - started
        print(f"{100 * (step + 1) // STEPS:>4} %  {took:7.1f} s  {memory[-1]:7.1f} MB", flush=True)
    tally = attack.tally
    for counts in (tally.kinds, tally.outcomes):
        print(", ".join(f"{word} {number}" for word, number in counts.most_common()))
    print(f"slowest: file {tally.slowest_number}, {tally.slowest * 1e3:.0f} ms of CPU; {count / took:.0f} files/s")
    print(f"{bad} files that something was wrong with (--only NUMBER repeats one)")
    print(f"memory after a quarter {memory[len(memory) // 4]:.1f} MB, at the end {memory[-1]:.1f} MB")
    # A sanitizer keeps what was freed for a while.
    grows = not attack.only_fast and memory[-1] - memory[len(memory) // 4] >= MOST_GROWTH
    return 1 if bad or grows else 0


if __name__ == "__main__":
    sys.exit(main())
