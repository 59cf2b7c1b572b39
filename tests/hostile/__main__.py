"""``python -m tests.hostile --count 1000000``: the attack at full length, with its numbers."""

# ruff: noqa: T201 - this is a command

import argparse
import sys
import time
from collections import Counter

from tests.hostile.attack import Attack
from tests.hostile.memory import resident

STEPS = 20


def main() -> int:
    """Half of the datagrams for a responder that demands cookies, half for one that never does."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="datagrams in all")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"{options.count} datagrams, seed {options.seed}; {resident():.1f} MB at the start")
    attacks = [Attack(options.seed, guarded=False), Attack(options.seed + 1, guarded=True)]
    started, memory = time.perf_counter(), []
    for step in range(STEPS):
        for attack in attacks:
            attack.run(options.count // STEPS // len(attacks))
        memory.append(resident())
        print(
            f"{100 * (step + 1) // STEPS:>4} %  {time.perf_counter() - started:7.1f} s  {memory[-1]:7.1f} MB",
            flush=True,
        )
    for attack in attacks:
        attack.renew()
    print("honest handshakes succeed afterwards")
    for attack, name in zip(attacks, ("never asks for cookies", "asks for cookies"), strict=True):
        tally = attack.tally
        print(
            f"\n{name}: {tally.answers} answers, {tally.handshakes} honest handshakes, slowest datagram "
            f"{tally.slowest * 1e3:.1f} ms, at most {tally.most_sas} IKE SAs and {tally.most_children} Child SAs of one"
        )
        for title, counts in (("sent", tally.kinds), ("drops", attack.bob.drops), ("events", tally.events)):
            print(f"  {title}: " + ", ".join(f"{word} {number}" for word, number in Counter(counts).most_common()))
    growth = memory[-1] - memory[len(memory) // 4]
    print(f"\nmemory after a quarter {memory[len(memory) // 4]:.1f} MB, at the end {memory[-1]:.1f} MB")
    return 0 if growth < 4 else 1


if __name__ == "__main__":
    sys.exit(main())
