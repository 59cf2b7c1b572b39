"""The record of a run: what report.json holds, as plain dataclasses.

This is the one declaration of the format: report.json, its JSON Schema and its reader are derived
from these classes (see ``report.jsonfile``). A change that an old reader cannot follow raises SCHEMA_VERSION.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from ipsectest.scenario.results import Level, Verdict

SCHEMA_VERSION = 1


class Outcome(StrEnum):
    """The verdict against what was expected of this peer (design section 7)."""

    AS_EXPECTED = "as-expected"
    REGRESSION = "regression"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class ToolRecord:
    """Which ipsectest ran."""

    name: str = "ipsectest"
    version: str = ""
    git: str = ""


@dataclass(frozen=True, slots=True)
class HostRecord:
    """Where it ran."""

    system: str = ""
    kernel: str = ""
    python: str = ""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """When and how: `started` is UTC in ISO 8601, `seed` is the one of the whole run."""

    id: str
    started: str
    duration_s: float
    seed: int
    command: str = ""
    host: HostRecord = field(default_factory=HostRecord)


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """A peer under test."""

    name: str
    version: str = ""
    config_sha256: str = ""
    capabilities: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ScenarioRecord:
    """A scenario file as it was run; `script_line` is the line of the file at which `script` begins."""

    file: str
    title: str
    why: str
    tests: str
    cites: list[str]
    sha256: str
    script: str
    script_line: int = 1


@dataclass(frozen=True, slots=True)
class RequirementRecord:
    """A requirement that some scenario cites, and how often its tagged lines were met."""

    rfc: str
    section: str
    level: str
    text: str
    met: int = 0
    unmet: int = 0
    not_reached: int = 0


@dataclass(frozen=True, slots=True)
class SectionRecord:
    """Coverage of one RFC section: requirements in the catalogue, and those that a case of this run cites."""

    rfc: str
    section: str
    requirements: int
    cited: int
    met: int
    unmet: int


@dataclass(frozen=True, slots=True)
class ReasonRecord:
    """Why a verdict is not *pass*."""

    file: str
    line: int
    expected: str
    actual: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """One tagged line; `met` is null where the case never came so far."""

    requirement: str
    level: Level
    line: int
    met: bool | None
    text: str = ""
    actual: str = ""


@dataclass(frozen=True, slots=True)
class LineRecord:
    """One line of a decoded message."""

    depth: int
    text: str


AGAIN = " (again)"
"""How the text of a retransmission ends in a ladder."""


@dataclass(frozen=True, slots=True)
class RungRecord:
    """One event of the ladder; `at` counts in seconds from the start of the case."""

    at: float
    direction: str
    text: str
    line: int = 0
    met: bool | None = None
    requirement: str = ""
    octets: int = 0
    details: list[LineRecord] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """One case against one peer; paths in `artifacts` are relative to the folder of the report."""

    scenario: str
    variant: str
    peer: str
    verdict: Verdict
    outcome: Outcome
    duration_s: float
    repro: str
    expectation: str = ""  # the reason text of scenarios/expected/<peer>.toml, if an entry applies
    dimensions: dict[str, str] = field(default_factory=dict)
    reason: ReasonRecord | None = None
    checks: list[CheckRecord] = field(default_factory=list)
    ladder: list[RungRecord] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    attempt: int = 1
    artifacts: dict[str, str] = field(default_factory=dict)

    @property
    def case_id(self) -> str:
        """``ike/init/cookie`` or ``ike/init/cookie[variant]``."""
        return f"{self.scenario}[{self.variant}]" if self.variant else self.scenario

    @property
    def family(self) -> str:
        """The folder of the scenario: ``ike/init``."""
        return self.scenario.rpartition("/")[0] or self.scenario

    @property
    def ends(self) -> tuple[str, str] | None:
        """Initiator and responder of a cell of the interop mode; None for a case of a scenario."""
        found = self.dimensions.get("initiator"), self.dimensions.get("responder")
        return (found[0], found[1]) if found[0] and found[1] else None

    @property
    def folder(self) -> str:
        """Where the artifacts of this case lie inside the report folder."""
        return f"cases/{self.peer}/{self.scenario}/{self.variant or 'default'}"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A whole run: the content of report.json."""

    run: RunInfo
    peers: dict[str, PeerRecord]
    scenarios: dict[str, ScenarioRecord]
    results: list[CaseRecord]
    requirements: dict[str, RequirementRecord] = field(default_factory=dict)
    coverage: list[SectionRecord] = field(default_factory=list)
    tool: ToolRecord = field(default_factory=ToolRecord)
    schema: int = SCHEMA_VERSION


def count(results: Iterable[CaseRecord]) -> dict[Verdict, int]:
    """How many cases came to each verdict; every verdict is a key, in the order of the legend."""
    totals = dict.fromkeys(Verdict, 0)
    for result in results:
        totals[result.verdict] += 1
    return totals


def surprises(results: Iterable[CaseRecord]) -> tuple[int, int, int]:
    """How many regressions convict the peer, how many known deviations are gone, how many cases say nothing."""
    odd = [r for r in results if r.outcome is not Outcome.AS_EXPECTED]
    fixed = sum(r.outcome is Outcome.FIXED for r in odd)
    inconclusive = sum(r.verdict is Verdict.INCONCLUSIVE for r in odd)
    return len(odd) - fixed - inconclusive, fixed, inconclusive


def second_tries(results: Iterable[CaseRecord]) -> int:
    """How many cases were played again, because the first time said nothing."""
    return sum(result.attempt > 1 for result in results)


def exit_code(results: Iterable[CaseRecord]) -> int:
    """Design section 7: 1 for any regression or fixed, 3 if nothing worse than inconclusive came out, else 0."""
    regressions, fixed, inconclusive = surprises(results)
    return 1 if regressions or fixed else 3 if inconclusive else 0
