"""A case written in a test, played against the built-in endpoint in virtual time."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ipsectest.base.clock import Instant
from ipsectest.peers.builtin import Builtin
from ipsectest.runner import slots, virtual
from ipsectest.runner.conductor import Conductor, Finished
from ipsectest.scenario.load import load
from ipsectest.scenario.model import Case
from ipsectest.scenario.results import CaseResult
from ipsectest.scenario.run import Run

FACTS = """title = "a test"
tests = "{tests}"
cites = ["7296-2.1-02", "7296-2.4-02", "7296-3.14-09", "7296-2.5-03", "7296-1.4-01"]
proof = ["none"]
{facts}
script = '''
{script}
'''
"""


def written(folder: Path, script: str, *, tests: str = "responder", facts: str = "", after: str = "") -> Path:
    """A scenario file with a script, in a folder called scenarios."""
    folder = folder / "scenarios"
    folder.mkdir(exist_ok=True)
    path = folder / "case.toml"
    path.write_text(FACTS.format(tests=tests, facts=facts, script=script) + after)
    return path


def play(case: Case, impairments: Sequence[str] = (), *, retransmit: float = 0.0, raw_esp: bool = True) -> CaseResult:
    """One case against a built-in peer of its own."""
    ended: list[Finished] = []
    peer = Builtin(random.Random(1).randbytes, impairments)

    def begin(case: Case, slot: int, now: Instant) -> tuple[Run, tuple[str, ...]]:
        place = slots.environment(slot, retransmit=retransmit, raw_esp=raw_esp)
        return Run(case, place, random.Random(2).randbytes, now), slots.hosts(place)

    virtual.play(Conductor(peer, [case], begin, ended.append), peer)
    return ended[0].result


Player = Callable[..., CaseResult]


@pytest.fixture
def run_script(tmp_path: Path) -> Player:
    """``run_script(script, tests=..., facts=...)`` -> CaseResult of the first case."""

    def run(script: str, *, retransmit: float = 0.0, raw_esp: bool = True, **written_as: str) -> CaseResult:
        scenario = load(written(tmp_path, script, **written_as))
        return play(scenario.cases[0], retransmit=retransmit, raw_esp=raw_esp)

    return run
