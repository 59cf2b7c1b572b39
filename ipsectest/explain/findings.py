"""What was found: one cause, who has it, what shows it, and what to change."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad it is."""

    FAILURE = "failure"
    """Something that was wanted did not come about."""
    WARNING = "warning"
    """It works, or could be seen in part only; worth a look."""
    NOTE = "note"
    """What an observer should know, and nobody has to change."""
    FINE = "fine"


class Certainty(StrEnum):
    """How sure it is."""

    CERTAIN = "certain"
    """What was seen has no other cause."""
    LIKELY = "likely"
    """Other causes look the same from here."""


@dataclass(frozen=True, slots=True, order=True)
class Evidence:
    """One place that shows it."""

    file: str
    number: int
    """Of the frame, or of the line of a log."""
    kind: str = "frame"

    def __str__(self) -> str:
        """``frame 12``, or ``charon.log:12``."""
        return f"frame {self.number}" if self.kind == "frame" else f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class Difference:
    """What the two sides have of one thing."""

    what: str
    here: str
    """Who has the first value."""
    value: str
    there: str = ""
    """Who has the other one; empty where only one side is known."""
    other: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What findings of the same cause share."""

    code: str
    """A word for programs: ``ike-proposal-mismatch``."""
    title: str
    clause: str = ""
    """``RFC 7296 section 2.7``."""
    requirement: str = ""
    """Its id in ``scenarios/requirements``, where one fits."""
    severity: Severity = Severity.FAILURE


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One cause."""

    kind: Kind
    who: str = ""
    """Whose doing it is: address and role."""
    text: str = ""
    """What was seen, in a sentence."""
    change: tuple[str, ...] = ()
    """What to do, the likeliest first."""
    differences: tuple[Difference, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    certainty: Certainty = Certainty.CERTAIN
    subject: frozenset[str] = field(default=frozenset())
    """Addresses of the two ends, and of traffic the SPI, by which findings of several files are brought together."""

    @property
    def code(self) -> str:
        """Of its kind."""
        return self.kind.code

    @property
    def severity(self) -> Severity:
        """Of its kind."""
        return self.kind.severity

    @property
    def title(self) -> str:
        """Of its kind."""
        return self.kind.title

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "code": self.kind.code,
            "severity": self.kind.severity.value,
            "certainty": self.certainty.value,
            "title": self.kind.title,
            "who": self.who,
            "text": self.text,
            "change": list(self.change),
            "differences": [
                {"what": one.what, "values": {one.here: one.value} | ({one.there: one.other} if one.there else {})}
                for one in self.differences
            ],
            "evidence": [{"file": one.file, one.kind: one.number} for one in self.evidence],
            "clause": self.kind.clause,
            "requirement": self.kind.requirement,
        }
