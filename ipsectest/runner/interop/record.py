"""Cells as results of the report: the pair is the peer, the other words are the case."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shlex import join

from ipsectest import __version__
from ipsectest.decrypt.keys.merging import merged
from ipsectest.runner import artifacts
from ipsectest.runner.expectations import Expectations
from ipsectest.runner.interop.abilities import Abilities
from ipsectest.runner.interop.cells import Cell
from ipsectest.runner.interop.key_files import key_files
from ipsectest.runner.interop.ladder import ladder
from ipsectest.runner.interop.play import Played
from ipsectest.runner.recorder import git_revision, host_record
from ipsectest.runner.records import CaseRecord, Outcome, PeerRecord, ReasonRecord, RunInfo, RunRecord, ToolRecord
from ipsectest.scenario.results import Verdict

SCENARIO = "interop/{auth}"
"""Scenario of a cell, for expectations and folders."""


@dataclass(slots=True)
class Records:
    """Collects the cells of a run; ``folder`` None writes no artifacts."""

    abilities: Mapping[str, Abilities]
    expectations: Expectations
    folder: Path | None = None
    results: list[CaseRecord] = field(default_factory=list)

    def add(self, played: Played) -> CaseRecord:
        """Judge, record and file a cell."""
        cell = played.cell
        scenario = SCENARIO.format(auth=cell.auth)
        ring = merged(played.ring)
        outcome, expectation = self._judge(cell, scenario, played.verdict)
        record = CaseRecord(
            scenario=scenario,
            variant=cell.variant,
            peer=cell.pair,
            verdict=played.verdict,
            outcome=outcome,
            expectation=expectation,
            duration_s=round(played.duration, 6),
            repro=join(["ipsectest", "interop", "--cell", str(cell)]),
            dimensions=asdict(cell),
            reason=_reason(played),
            ladder=ladder(played.seen.frames, ring),
            notes=list(played.notes),
            attempt=played.attempt,
        )
        if self.folder and played.seen.pcapng:
            files: dict[str, str | bytes] = {
                "trace.pcapng": played.seen.pcapng,
                "peer.log": played.log,
                "peer.conf": played.configuration,
                "ladder.txt": "".join(f"{r.at:10.4f} {r.direction} {r.text}\n" for r in record.ladder),
                "repro.txt": record.repro + "\n",
            }
            record.artifacts.update(artifacts.write(self.folder, record.folder, files | key_files(ring)))
        self.results.append(record)
        return record

    def record(self, run_id: str, started: str, duration: float, seed: int, command: str = "") -> RunRecord:
        """The whole run."""
        return RunRecord(
            run=RunInfo(run_id, started, round(duration, 3), seed, command, host_record()),
            peers=self._peers(),
            scenarios={},
            results=sorted(self.results, key=lambda r: (r.peer, r.case_id)),
            tool=ToolRecord(version=__version__, git=git_revision()),
        )

    def _judge(self, cell: Cell, scenario: str, verdict: Verdict) -> tuple[Outcome, str]:
        versions = f"{self.abilities[cell.initiator].version} to {self.abilities[cell.responder].version}"
        return self.expectations.judge(scenario, cell.variant, versions, cell.pair, verdict)

    def _peers(self) -> dict[str, PeerRecord]:
        """The peers, and the pairs of them that the results name."""
        peers = {name: PeerRecord(name, able.version) for name, able in self.abilities.items()}
        for case in self.results:
            versions = [peers[name].version for name in case.ends or ()]
            peers[case.peer] = PeerRecord(case.peer, " to ".join(versions))
        return peers


def _reason(played: Played) -> ReasonRecord | None:
    if played.verdict is Verdict.PASS:
        return None
    return ReasonRecord("", 0, played.expected, played.actual, played.problem)
