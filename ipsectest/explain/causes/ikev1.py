"""What goes wrong in IKEv1, as far as it shows without reading what is encrypted."""

from collections.abc import Iterator

from ipsectest.base.iana_ikev1 import ExchangeV1
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.causes.evidence import numbered
from ipsectest.explain.findings import Certainty, Difference, Finding, Kind, Severity
from ipsectest.explain.ikev1 import ERRORS, ConversationV1, MessageV1

_PROPOSAL, _ID, _HASH, _AUTH = 14, 18, 23, 24
_CLAUSE = "RFC 2409 section 5"
_PATIENCE = 2_000_000_000


def ikev1(facts: CaptureFacts) -> Iterator[Finding]:
    """Every IKEv1 SA of a capture: the error it met, or where it stopped."""
    for conversation in facts.ikev1.found.values():
        refused = next((one for one in conversation.messages if one.errors), None)
        if refused:
            yield _refused(conversation, refused, facts)
        elif conversation.phase1 and not conversation.is_established and _is_stuck(conversation, facts):
            yield _stuck(conversation, facts)


def _is_stuck(conversation: ConversationV1, facts: CaptureFacts) -> bool:
    last = conversation.messages[-1]
    return last.times > 1 or facts.end - last.last > _PATIENCE


def _refused(conversation: ConversationV1, message: MessageV1, facts: CaptureFacts) -> Finding:
    kind = message.errors[0]
    name = ERRORS.get(kind, f"error {kind}")
    judge, other = (conversation.initiator, conversation.responder)[:: 1 if message.to_right else -1]
    codes = {
        _PROPOSAL: "ike-proposal-mismatch",
        _AUTH: "authentication-failed",
        _HASH: "authentication-failed",
        _ID: "id-mismatch",
    }
    is_phase2 = conversation.is_established
    wanted = "in phase 2 (ESP, PFS group)" if is_phase2 else "cipher, hash, group, and the kind of authentication"
    compared = "subnets of phase 2, which have to be the same, mirrored," if is_phase2 else "IDs"
    changes = {
        _PROPOSAL: (f"Offer on {other} what {judge} is configured for: {wanted}.",),
        _ID: (f"Compare the {compared} of both sides.",),
    }
    return Finding(
        kind=Kind(
            code="child-proposal-mismatch" if kind == _PROPOSAL and is_phase2 else codes.get(kind, "ikev1-error"),
            severity=Severity.FAILURE,
            title=f"IKEv1: {judge} answers {name}",
            clause="RFC 2408 section 3.14.1",
        ),
        who=judge,
        text=f"In {'phase 2' if is_phase2 else 'phase 1'}, to what {other} sent.",
        change=changes.get(kind, (f"Look into the log of {judge}: it has the reason.",)),
        differences=tuple(
            Difference("proposal", f"{conversation.initiator} offers", one) for one in conversation.offer[:6]
        )
        if kind == _PROPOSAL and not is_phase2
        else (),
        evidence=numbered(facts, [message.sighting.frame]),
        certainty=Certainty.LIKELY,
        subject=conversation.ends,
    )


def _stuck(conversation: ConversationV1, facts: CaptureFacts) -> Finding:
    last = conversation.messages[-1]
    silent = conversation.responder if last.to_right else conversation.initiator
    code, title = "peer-unreachable", "The responder does not answer"
    change: tuple[str, ...] = (
        f"Check that {conversation.responder} is up and speaks IKEv1 (many gateways do not any more: configure IKEv2).",
        "Allow UDP 500 and 4500 in both directions in every firewall between the two.",
    )
    if last.exchange == ExchangeV1.MAIN_MODE and last.is_encrypted:
        code, title = "wrong-psk", "Main mode stops at its first encrypted message"
        change = (
            (
                "Compare the pre-shared keys of both sides: in main mode a wrong one makes the message unreadable, and "
                "it is dropped in silence."
            ),
            f"Compare the IDs, and look into the log of {silent}.",
        )
    elif len(conversation.phase1) > 1:
        code, title = "no-answer-to-auth", "Phase 1 stops"
        change = (f"Look into the log of {silent}: a message that it cannot place is dropped in silence.",)
    return Finding(
        kind=Kind(code=code, severity=Severity.FAILURE, title=f"IKEv1: {title}", clause=_CLAUSE),
        who=silent,
        text=f"{len(conversation.phase1)} messages of phase 1 were seen; the last, sent {last.times} times, has no "
        "answer.",
        change=change,
        evidence=numbered(facts, [last.sighting.frame]),
        certainty=Certainty.LIKELY,
        subject=conversation.ends,
    )
