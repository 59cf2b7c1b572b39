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
class Finding:
    """One cause."""

    code: str
    """A word for programs: ``ike-proposal-mismatch``."""
    severity: Severity
    title: str
    who: str = ""
    """Whose doing it is: address and role."""
    text: str = ""
    """What was seen, in a sentence."""
    change: tuple[str, ...] = ()
    """What to do, the likeliest first."""
    differences: tuple[Difference, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    clause: str = ""
    """``RFC 7296 section 2.7``."""
    requirement: str = ""
    """Its id in ``scenarios/requirements``, where one fits."""
    certainty: Certainty = Certainty.CERTAIN
    subject: frozenset[str] = field(default=frozenset())
    """Addresses of the two ends, by which findings of several files are brought together."""

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "certainty": self.certainty.value,
            "title": self.title,
            "who": self.who,
            "text": self.text,
            "change": list(self.change),
            "differences": [
                {"what": one.what, "values": {one.here: one.value} | ({one.there: one.other} if one.there else {})}
                for one in self.differences
            ],
            "evidence": [{"file": one.file, one.kind: one.number} for one in self.evidence],
            "clause": self.clause,
            "requirement": self.requirement,
        }
