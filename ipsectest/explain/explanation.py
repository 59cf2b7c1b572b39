"""Everything that is told of the files of a run: ladders, suites, findings."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ipsectest.explain import causes
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.conversations import Conversation
from ipsectest.explain.counters.judging import judged
from ipsectest.explain.counters.model import CounterFacts
from ipsectest.explain.findings import Finding, Kind, Severity
from ipsectest.explain.flows import Flow
from ipsectest.explain.ikev1 import ConversationV1
from ipsectest.explain.ladder import Rung, rungs
from ipsectest.explain.logs.model import LogFacts, LoggedSa
from ipsectest.explain.merging import BEFORE_IT_IS_UP, merged
from ipsectest.explain.negotiated import Agreed, children, ike_suite
from ipsectest.explain.outcome import is_established, is_readable

MOST_TRAFFIC = 20


@dataclass(slots=True)
class Story:
    """One IKE SA as it is told."""

    file: str
    kind: str
    """What numbers count: ``frame`` or ``line``."""
    title: str
    rungs: list[Rung]
    agreed: list[Agreed]
    is_established: bool | None
    """None: the capture does not tell."""
    ends: tuple[str, str]
    """Initiator and responder."""
    spi: bytes = b""
    """Of the initiator; IKEv1 calls it cookie."""

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "file": self.file,
            "kind": self.kind,
            "title": self.title,
            "ends": list(self.ends),
            "spi_i": self.spi.hex(),
            "established": self.is_established,
            "ladder": [rung.as_json() for rung in self.rungs],
            "agreed": [one.as_json() for one in self.agreed],
        }


@dataclass(slots=True)
class Explanation:
    """What happened and what to change."""

    stories: list[Story] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    traffic: list[Flow] = field(default_factory=list)
    """ESP and AH of Child SAs whose exchange cannot be read; the busiest."""
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
            "traffic": [one.as_json() for one in self.traffic],
            "notes": self.notes,
        }


def explain(
    captures: Iterable[CaptureFacts], logs: Iterable[LogFacts] = (), counters: Iterable[CounterFacts] = ()
) -> Explanation:
    """The explanation of what was read."""
    told = Explanation()
    findings: list[Finding] = []
    hidden = False
    for facts in captures:
        for conversation in facts.conversations.found:
            told.stories.append(_story(conversation, facts))
            hidden |= not is_readable(conversation)
            for cause in causes.OF_CONVERSATIONS:
                findings += cause(conversation, facts)
        told.stories += [_story_v1(one, facts) for one in facts.ikev1.found.values()]
        for look in causes.OF_CAPTURES:
            findings += look(facts)
        told.traffic += _strangers(facts, told.stories)
        if facts.conversations.left_out:
            told.notes.append(f"{facts.name}: {facts.conversations.left_out} more IKE SAs were not looked at")
    for log in logs:
        told.stories += [_logged(sa) for sa in log.sas.values() if sa.rungs]
        findings += log.findings
        if log.left_out:
            told.notes.append(f"{log.name}: {log.left_out} more IKE SAs were not looked at")
    counters = list(counters)
    findings += judged(counters)
    told.notes += [f"{one.name}: {one.left_out} more SAs were not looked at" for one in counters if one.left_out]
    told.findings = merged(_overcome(one, told.stories) for one in findings)
    if not told.has_failed:
        told.findings.append(_all_fine(told, hidden=hidden))
    return told


def _strangers(facts: CaptureFacts, stories: list[Story]) -> list[Flow]:
    known = {spi for story in stories for agreed in story.agreed for spi in agreed.spis}
    found = [flow for flow in facts.flows.found.values() if flow.spi not in known]
    return sorted(found, key=lambda flow: -flow.packets)[:MOST_TRAFFIC]


def _overcome(finding: Finding, stories: list[Story]) -> Finding:
    """A failure to come up that was followed by success is no failure any more."""
    if finding.severity is not Severity.FAILURE or finding.code not in BEFORE_IT_IS_UP or not finding.evidence:
        return finding
    last = max(finding.evidence)
    for story in stories:
        is_later = story.rungs and story.file == last.file and story.rungs[0].number > last.number
        if is_later and story.is_established and finding.subject <= frozenset(story.ends):
            text = f"{finding.text} Later, from {last.kind} {story.rungs[0].number} on, the two came together."
            return replace(finding, kind=replace(finding.kind, severity=Severity.WARNING), text=text)
    return finding


def _story(conversation: Conversation, facts: CaptureFacts) -> Story:
    suite = ike_suite(conversation)
    return Story(
        facts.name,
        "frame",
        f"{conversation.initiator} > {conversation.responder}",
        rungs(conversation),
        [*([suite] if suite else []), *children(conversation, facts.flows)],
        is_established(conversation),
        (conversation.initiator, conversation.responder),
        conversation.spi_i,
    )


def _story_v1(conversation: ConversationV1, facts: CaptureFacts) -> Story:
    ends = conversation.initiator, conversation.responder
    title = f"{ends[0]} > {ends[1]} (IKEv1)"
    first = conversation.messages[0].sighting.frame
    agreed = [Agreed("IKE", conversation.chosen, first)] if conversation.chosen else []
    return Story(
        facts.name,
        "frame",
        title,
        conversation.rungs(),
        agreed,
        conversation.is_established,
        ends,
        conversation.cookie_i,
    )


def _logged(sa: LoggedSa) -> Story:
    ends = sa.local or "this host", sa.remote or "the peer"
    initiator, responder = ends if sa.is_initiator is not False else ends[::-1]
    agreed = [Agreed(text.partition("  ")[0], text.partition("  ")[2], number) for number, text in sa.agreed]
    title = f"{initiator} > {responder}"
    begins = any(rung.text.startswith("IKE_SA_INIT") for rung in sa.rungs)
    established = sa.is_established or (False if begins else None)
    return Story(sa.file, "line", title, sa.rungs, agreed, established, (initiator, responder))


def _all_fine(told: Explanation, *, hidden: bool) -> Finding:
    up = sum(one.is_established is True for one in told.stories)
    made = sum(agreed.protocol in {"ESP", "AH"} for one in told.stories for agreed in one.agreed)
    if not told.stories:
        return Finding(
            kind=Kind(code="no-ike", title="No IKE in here", severity=Severity.NOTE),
            text="What there is of ESP and AH is judged by itself." if told.traffic else "There is nothing to explain.",
        )
    before = sum(one.is_established is None for one in told.stories)
    seen = len(told.stories) - before
    parts = [f"{up} of {seen} IKE SAs came up"] if seen else []
    parts += [f"{before} {'were' if before > 1 else 'was'} there before"] if before else []
    parts += [f"{made} Child SAs were seen being made"] if made else []
    text = ", ".join(parts) + "."
    if hidden:
        text += " Encrypted messages were judged by their length: with keys (-k) more can be told."
    failed = any(one.is_established is False for one in told.stories)
    title = "No failure was found" if failed else "Nothing is wrong"
    return Finding(kind=Kind(code="all-fine", title=title, severity=Severity.FINE), text=text)
