"""Everything that is told of the files of a run: ladders, suites, findings, the worst last."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ipsectest.explain import causes
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.conversations import Conversation
from ipsectest.explain.findings import Certainty, Evidence, Finding, Severity
from ipsectest.explain.ladder import Rung, rungs
from ipsectest.explain.negotiated import Agreed, children, ike_suite
from ipsectest.explain.outcome import is_established

_ORDER = list(Severity)
_MOST_EVIDENCE = 12


@dataclass(slots=True)
class Story:
    """One IKE SA as it is told."""

    file: str
    title: str
    rungs: list[Rung]
    agreed: list[Agreed]
    is_established: bool

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "file": self.file,
            "title": self.title,
            "established": self.is_established,
            "ladder": [rung.as_json() for rung in self.rungs],
            "agreed": [
                {
                    "protocol": one.protocol,
                    "suite": one.suite,
                    "frame": one.frame,
                    "spis": [spi.hex() for spi in one.spis],
                    "mode": one.mode,
                    "selectors": [list(one.local), list(one.remote)],
                    "rekey": one.is_rekey,
                    "deleted": one.deleted or None,
                }
                for one in self.agreed
            ],
        }


@dataclass(slots=True)
class Explanation:
    """What happened and what to change."""

    stories: list[Story] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def has_failed(self) -> bool:
        """Whether something is wrong."""
        return any(one.severity is Severity.FAILURE for one in self.findings)

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "failed": self.has_failed,
            "findings": [one.as_json() for one in self.findings],
            "sas": [one.as_json() for one in self.stories],
            "notes": self.notes,
        }


def explain(captures: Iterable[CaptureFacts]) -> Explanation:
    """The explanation of what was read."""
    told = Explanation()
    findings: list[Finding] = []
    for facts in captures:
        for conversation in facts.conversations.found:
            told.stories.append(_story(conversation, facts))
            for cause in causes.OF_CONVERSATIONS:
                findings += cause(conversation, facts)
        if facts.conversations.left_out:
            told.notes.append(f"{facts.name}: {facts.conversations.left_out} more IKE SAs were not looked at")
    told.findings = _sorted(_merged(findings))
    if not told.has_failed:
        told.findings.append(_all_fine(told))
    return told


def _story(conversation: Conversation, facts: CaptureFacts) -> Story:
    suite = ike_suite(conversation)
    return Story(
        facts.name,
        f"{conversation.initiator} > {conversation.responder}, SPI {conversation.spi_i.hex()}",
        rungs(conversation),
        [*([suite] if suite else []), *children(conversation)],
        is_established(conversation),
    )


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """The same finding of several attempts told once, with all evidence."""
    merged: dict[tuple[str, str, tuple[str, ...], Severity], list[Finding]] = {}
    for one in findings:
        merged.setdefault((one.code, one.who, one.change, one.severity), []).append(one)
    return [_one_of(same) for same in merged.values()]


def _one_of(same: list[Finding]) -> Finding:
    if len(same) == 1:
        return same[0]
    evidence: list[Evidence] = []
    for one in same:
        evidence += [found for found in one.evidence if found not in evidence]
    return replace(same[0], evidence=tuple(evidence[:_MOST_EVIDENCE]), text=f"{same[0].text} ({len(same)} times)")


def _sorted(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(
        findings, key=lambda one: (_ORDER.index(one.severity), one.certainty is Certainty.LIKELY, one.evidence)
    )


def _all_fine(told: Explanation) -> Finding:
    up = sum(one.is_established for one in told.stories)
    made = sum(agreed.protocol in {"ESP", "AH"} for one in told.stories for agreed in one.agreed)
    if not told.stories:
        return Finding(
            code="no-ike", severity=Severity.NOTE, title="No IKE in here", text="There is nothing to explain.",
        )  # fmt: skip
    text = f"{up} of {len(told.stories)} IKE SAs came up"
    text += f", {made} Child SAs were seen being made." if made else "."
    return Finding(code="all-fine", severity=Severity.FINE, title="Nothing is wrong", text=text)
