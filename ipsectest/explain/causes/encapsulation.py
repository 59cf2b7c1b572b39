"""ESP, AH and a NAT between the two ends."""

from collections.abc import Iterator

from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.causes.evidence import numbered
from ipsectest.explain.causes.reachability import behind_nat
from ipsectest.explain.conversations import Conversation
from ipsectest.explain.findings import Finding, Kind, Severity


def through_nat(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """What a NAT does not let through: AH at all, ESP without UDP around it."""
    behind = behind_nat(conversation)
    flows = [flow for flow in facts.flows.found.values() if flow.ends == conversation.ends and not flow.in_udp]
    if not behind or not flows:
        return
    plain = flows[0]
    is_ah = plain.protocol == "AH"
    yield Finding(
        kind=Kind(
            code="ah-behind-nat" if is_ah else "esp-not-encapsulated",
            severity=Severity.FAILURE if is_ah else Severity.WARNING,
            title="AH does not survive a NAT" if is_ah else "Plain ESP although there is a NAT",
            clause="RFC 7296 section 2.23",
            requirement="7296-2.23-09",
        ),
        who=plain.source,
        text=f"A NAT was detected in front of {' and '.join(behind)}; {plain.source} sends "
        f"{'AH, whose ICV covers the addresses' if is_ah else 'ESP that is not in UDP, which many NATs drop'}.",
        change=("Use ESP with integrity instead of AH.",)
        if is_ah
        else ("Let both sides encapsulate ESP in UDP (strongSwan: encap = yes, Libreswan: encapsulation=yes).",),
        evidence=numbered(facts, [plain.first_frame]),
        subject=conversation.ends,
    )
