"""What a case came to: verdicts and plain records that runner and report pass on as JSON.

A verdict says what happened; what was expected of the peer is a second axis and no business
of this module. Only a tagged line convicts (design section 7), so every tagged line leaves a `Check`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ipsectest.base.clock import Instant


class Verdict(StrEnum):
    """What happened; the order is the one of every table and legend."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    NONSTRICT = "nonstrict"
    FAIL = "fail"
    UNSUPPORTED = "unsupported"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"


class Level(StrEnum):
    """The word in a tag: how much an unmet line weighs."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"
    INFO = "INFO"

    @property
    def verdict_if_unmet(self) -> Verdict:
        """FAIL for MUST, NONSTRICT for SHOULD; MAY and INFO are notes and leave PASS."""
        return {Level.MUST: Verdict.FAIL, Level.SHOULD: Verdict.NONSTRICT}.get(self, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Check:
    """One tagged line: `met` is True, False, or None where the case never came so far."""

    requirement: str
    level: Level
    line: int  # 1-based, in the scenario file
    met: bool | None
    text: str = ""  # the script line without its tag
    actual: str = ""  # what came instead, empty if met


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a verdict is not PASS: the line of the scenario file and both sides of the quarrel."""

    line: int
    expected: str
    actual: str
    text: str = ""  # one sentence in front of the two, e.g. "the peer stopped answering"


@dataclass(frozen=True, slots=True)
class Rung:
    """One event of the ladder, in the order of time.

    `direction` is ``->`` (we sent), ``<-`` (the peer sent) or ``--`` (a verb, a note, a silence).
    `line` is the line of the scenario file this event belongs to (0 = none, e.g. a retransmission);
    `met` colours the tick of an expected line. `details` is the decoded message as (depth, text).
    """

    at: Instant
    direction: str
    text: str
    line: int = 0
    met: bool | None = None
    requirement: str = ""
    octets: int = 0
    details: Sequence[tuple[int, str]] = ()


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The outcome of one run of one case.

    `started` and `finished` are on the clock of the run. `key_tables` maps the file names
    ``keys.toml``, ``ikev2_decryption_table`` and ``esp_sa`` to their text.
    """

    verdict: Verdict
    checks: Sequence[Check] = ()
    reason: Reason | None = None
    ladder: Sequence[Rung] = ()
    notes: Sequence[str] = ()
    started: Instant = 0.0
    finished: Instant = 0.0
    key_tables: Mapping[str, str] = field(default_factory=dict)
    missing: bool = False
    """Whether the verdict rests on something that did not come in time: on a slow machine it may have been late."""
