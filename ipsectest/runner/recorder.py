"""Turns finished cases into records, and writes what belongs to each beside its page."""

import json
import os
import platform
import shlex
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ipsectest import __version__
from ipsectest.runner import artifacts, capture
from ipsectest.runner.conductor import Finished
from ipsectest.runner.expectations import Expectations
from ipsectest.runner.records import (
    CaseRecord,
    CheckRecord,
    HostRecord,
    LineRecord,
    PeerRecord,
    ReasonRecord,
    RequirementRecord,
    RungRecord,
    RunInfo,
    RunRecord,
    ScenarioRecord,
    SectionRecord,
    ToolRecord,
)
from ipsectest.scenario.model import Case, Scenario
from ipsectest.scenario.requirements import Requirement
from ipsectest.scenario.results import CaseResult


@dataclass(slots=True)
class PeerUnderTest:
    """A peer as the report names it (``strongswan@trixie``), and what is known of it."""

    name: str
    version: str
    expectations: Expectations
    vm: bool = False
    """Whether it runs in the lab's virtual machine."""
    configurations: list[str] = field(default_factory=list)
    word: str = ""
    """What a command line calls it, if not by its name."""
    ip: int = 0
    """IP version of the wire to it; 0: that of the run."""


@dataclass(slots=True)
class Recorder:
    """Collects the results of one run; ``folder`` None writes no artifacts."""

    scenarios: dict[str, Scenario]
    catalogue: Mapping[str, Requirement]
    seed: int
    folder: Path | None = None
    epoch: float = 0.0
    """Time of day (seconds since 1970) at instant 0 of the run's clock."""
    strict: bool = False
    ip: int = 4
    results: list[CaseRecord] = field(default_factory=list)
    peers: dict[str, PeerUnderTest] = field(default_factory=dict)

    def add(self, peer: PeerUnderTest, finished: Finished) -> CaseRecord:
        """Judge, record and file one finished case."""
        case, result = finished.case, finished.result
        outcome, expectation = peer.expectations.judge(
            case.scenario, case.variant, peer.version, peer.name, result.verdict, strict=self.strict
        )
        record = CaseRecord(
            scenario=case.scenario,
            variant=case.variant,
            peer=peer.name,
            verdict=result.verdict,
            outcome=outcome,
            expectation=expectation,
            duration_s=round(result.finished - result.started, 6),
            repro=self._repro(peer, case),
            dimensions={"ip": f"v{peer.ip or self.ip}"},
            reason=_reason(result, case.path),
            checks=[CheckRecord(c.requirement, c.level, c.line, c.met, c.text, c.actual) for c in result.checks],
            ladder=_ladder(result),
            notes=list(result.notes),
            attempt=finished.attempt,
        )
        configuration = artifacts.settings_text(finished.settings)
        self.peers.setdefault(peer.name, peer).configurations.append(configuration)
        if self.folder:
            record.artifacts.update(self._file(self.folder, record, finished, configuration))
        self.results.append(record)
        return record

    def _file(self, folder: Path, record: CaseRecord, finished: Finished, configuration: str) -> dict[str, str]:
        comment = f"{record.case_id} against {record.peer}: {record.verdict}"
        files: dict[str, str | bytes] = {
            "trace.pcapng": capture.pcapng(finished.seen, self.epoch, comment) if finished.seen else b"",
            "peer.log": finished.log,
            "peer.conf": configuration,
            "ladder.txt": "".join(f"{r.at:10.4f} {r.direction} {r.text}\n" for r in record.ladder),
            "repro.txt": record.repro + "\n",
        }
        return artifacts.write(folder, record.folder, files | dict(finished.result.key_tables))

    def _repro(self, peer: PeerUnderTest, case: Case) -> str:
        what = os.path.relpath(case.path) if case.scenario.startswith("sanity/") else case.id
        words = ["ipsectest", "run", what, "--peer", peer.word or peer.name, "--seed", str(self.seed)]
        words += ["--ip", str(self.ip)] if self.ip != 4 and not peer.ip else []
        return shlex.join(words + (["--lab", "vm"] if peer.vm else []))

    def record(self, run_id: str, started: str, duration: float, command: str = "") -> RunRecord:
        """The whole run."""
        ran = {case.scenario for case in self.results}
        return RunRecord(
            run=RunInfo(run_id, started, round(duration, 3), self.seed, command, host_record()),
            peers={
                name: PeerRecord(name, peer.version, artifacts.digest("".join(sorted(peer.configurations))))
                for name, peer in self.peers.items()
            },
            scenarios={name: _scenario(s) for name, s in self.scenarios.items() if name in ran},
            results=sorted(self.results, key=lambda r: (r.peer, r.case_id)),
            requirements=_requirements(self.results, self.catalogue),
            coverage=_coverage(self.results, self.catalogue),
            tool=ToolRecord(version=__version__, git=git_revision()),
        )


def host_record() -> HostRecord:
    """This machine."""
    uname = platform.uname()
    return HostRecord(uname.system, uname.release, platform.python_version())


def git_revision() -> str:
    """The commit of the checkout this code is in; empty for an installed package."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def summary_json(record: RunRecord) -> str:
    """One JSON object for scripts: counts of verdicts and outcomes, and every case that is not as expected."""
    surprises = [r for r in record.results if r.outcome != "as-expected"]
    return json.dumps(
        {
            "cases": len(record.results),
            "duration_s": record.run.duration_s,
            "verdicts": dict(Counter(r.verdict.value for r in record.results)),
            "outcomes": dict(Counter(r.outcome.value for r in record.results)),
            "surprises": [
                {"case": r.case_id, "peer": r.peer, "verdict": r.verdict, "outcome": r.outcome} for r in surprises
            ],
        },
        indent=1,
    )


def _reason(result: CaseResult, path: Path) -> ReasonRecord | None:
    if result.reason is None:
        return None
    reason = result.reason
    return ReasonRecord(str(path), reason.line, reason.expected, reason.actual, reason.text)


def _ladder(result: CaseResult) -> list[RungRecord]:
    return [
        RungRecord(
            round(r.at - result.started, 6), r.direction, r.text, r.line, r.met, r.requirement, r.octets,
            [LineRecord(depth, text) for depth, text in r.details],
        )
        for r in result.ladder
    ]  # fmt: skip


def _scenario(scenario: Scenario) -> ScenarioRecord:
    return ScenarioRecord(
        str(scenario.path), scenario.title, scenario.why, scenario.tests.value, list(scenario.cites),
        scenario.sha256, scenario.script, scenario.script_line,
    )  # fmt: skip


def _requirements(results: list[CaseRecord], catalogue: Mapping[str, Requirement]) -> dict[str, RequirementRecord]:
    counts: dict[str, Counter[bool | None]] = {}
    for result in results:
        for check in result.checks:
            counts.setdefault(check.requirement, Counter())[check.met] += 1
    return {
        name: RequirementRecord(row.rfc, row.section, row.level, row.text, met[True], met[False], met[None])
        for name, met in sorted(counts.items())
        if (row := catalogue.get(name))
    }


def _coverage(results: list[CaseRecord], catalogue: Mapping[str, Requirement]) -> list[SectionRecord]:
    """Each section with testable requirements of the RFCs that this run touches."""
    state: dict[str, bool] = {}
    for result in results:
        for check in result.checks:
            state[check.requirement] = state.get(check.requirement, True) and check.met is not False
    touched = {catalogue[name].rfc for name in state if name in catalogue}
    sections: dict[tuple[str, str], list[str]] = {}
    for row in catalogue.values():
        if row.rfc in touched and (row.observable != "no" or row.id in state):
            sections.setdefault((row.rfc, row.section), []).append(row.id)
    return [
        SectionRecord(
            rfc, section, len(ids), sum(i in state for i in ids),
            sum(state.get(i) is True for i in ids), sum(state.get(i) is False for i in ids),
        )
        for (rfc, section), ids in sorted(sections.items())
    ]  # fmt: skip
