"""What goes wrong in IKE_SA_INIT: proposals, the guessed group, versions."""

from collections.abc import Iterator

from ipsectest.base.iana import ExchangeType, NotifyType, TransformType
from ipsectest.base.suites import format_suite
from ipsectest.decrypt.negotiations import first_payload
from ipsectest.explain import kinds
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.causes.evidence import frames
from ipsectest.explain.conversations import Conversation, Exchange
from ipsectest.explain.findings import Certainty, Difference, Finding, Kind, Severity
from ipsectest.explain.ladder import group_word
from ipsectest.explain.negotiated import ike_suite, offered, suites
from ipsectest.wire import KE, SA

PATIENCE = 2_000_000_000
"""Nanoseconds in which an initiator goes on."""
TRIES = 2


def proposal(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """NO_PROPOSAL_CHOSEN in IKE_SA_INIT."""
    for exchange in conversation.of(ExchangeType.IKE_SA_INIT):
        if not exchange.response.notify(NotifyType.NO_PROPOSAL_CHOSEN):
            continue
        initiator, responder = conversation.initiator, conversation.responder
        offer = suites(exchange.request.payloads)
        known = list(_taken_by_responder(conversation, facts))
        yield Finding(
            kind=kinds.IKE_PROPOSAL_MISMATCH,
            who=conversation.described(is_initiator=False),
            text="It refuses every proposal of the initiator with NO_PROPOSAL_CHOSEN.",
            change=(
                (
                    f"On {initiator} offer what {responder} is configured for, or allow one of these proposals on "
                    f"{responder}: cipher, integrity, PRF and group must all be in one of its own."
                ),
                (
                    f"If they are the same already, {responder} has no connection for {initiator} at all (some daemons "
                    "refuse an unknown peer in these words): compare local and remote addresses. Its log tells which."
                ),
            ),
            differences=(
                *(Difference("IKE proposal", f"{initiator} offers", one) for one in offer),
                *known,
            ),
            evidence=frames(facts, exchange.request, exchange.response),
            certainty=Certainty.LIKELY,
            subject=conversation.ends,
        )
        return


def _taken_by_responder(conversation: Conversation, facts: CaptureFacts) -> Iterator[Difference]:
    """What the refusing side offers or takes in other IKE SAs of the capture."""
    seen: set[str] = set()
    for other in facts.conversations.found:
        if other.initiator == conversation.responder:
            words, what = _first_offer(other), f"{other.initiator} itself offers"
        elif other.responder == conversation.responder and other is not conversation:
            agreed = ike_suite(other)
            words, what = [agreed.suite] if agreed else [], f"{other.responder} takes from {other.initiator}"
        else:
            continue
        for word in words:
            if word not in seen and len(seen) < 4:
                seen.add(word)
                yield Difference("IKE proposal", what, word)


def _first_offer(conversation: Conversation) -> list[str]:
    return next((suites(one.request.payloads) for one in conversation.of(ExchangeType.IKE_SA_INIT)), [])


def group(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """INVALID_KE_PAYLOAD: the usual retry, a group that was not offered, or a loop."""
    asked = [(one, wanted) for one in conversation.exchanges if (wanted := _wanted_group(one)) is not None]
    if not asked:
        return
    first, wanted = asked[0]
    later = conversation.exchanges[conversation.exchanges.index(first) + 1 :]
    retried = [one for one in later if (ke := first_payload(one.request.payloads, KE)) and ke.group == wanted]
    guessed = first_payload(first.request.payloads, KE)
    asking, answering = conversation.asking(first), conversation.answering(first)
    words = group_word(guessed.group) if guessed else "another"
    not_offered = wanted not in {
        spec.id for one in offered(first.request.payloads) for spec in one.specs if spec.type == TransformType.KE
    }
    difference = Difference("key exchange group", f"{asking} sends", words, f"{answering} wants", group_word(wanted))
    evidence = frames(facts, *(half for one, _ in asked[:3] for half in (one.request, one.response)))
    if len(asked) > 1 and any(other == wanted for _, other in asked[1:]) and retried:
        severity, title = Severity.FAILURE, "INVALID_KE_PAYLOAD again and again"
        text = f"{answering} asks for {group_word(wanted)}, gets it and refuses it again."
        change = f"Configure one and the same group on both sides; the fault lies with {answering}."
    elif not_offered:
        severity, title = Severity.FAILURE, "The responder wants a group that was not offered"
        text = f"{answering} asks for {group_word(wanted)}, which is in no proposal; such an answer is ignored."
        change = f"Add {group_word(wanted)} to the proposals of {asking}, or take it from those of {answering}."
    elif not retried:
        severity, title = Severity.FAILURE, "No further try after INVALID_KE_PAYLOAD"
        text = f"{asking} does not come back with {group_word(wanted)}, which it had offered."
        change = f"Put {group_word(wanted)} first in the proposals of {asking}."
    else:
        severity, title = Severity.NOTE, "One more round trip for the group"
        text = f"{answering} wants {group_word(wanted)} and got it in the next try."
        change = f"Put {group_word(wanted)} first in the proposals of {asking} to save the round trip."
    yield Finding(
        kind=Kind(
            code="group-loop" if "again" in title else "group-retry" if severity is Severity.NOTE else "group-mismatch",
            severity=severity,
            title=title,
            clause="RFC 7296 section 1.2",
            requirement="7296-1.2-12" if not_offered else "7296-1.2-10",
        ),
        who=answering if "wants" in title or "again" in title else asking,
        text=text,
        change=(change,),
        differences=(difference,),
        evidence=evidence,
        subject=conversation.ends,
    )


def _wanted_group(exchange: Exchange) -> int | None:
    notify = exchange.response.notify(NotifyType.INVALID_KE_PAYLOAD)
    return int.from_bytes(notify.data[:2], "big") if notify and len(notify.data) >= 2 else None


def version(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """INVALID_MAJOR_VERSION."""
    for exchange in conversation.exchanges:
        if not exchange.response.notify(NotifyType.INVALID_MAJOR_VERSION):
            continue
        request, response = exchange.request.opened, exchange.response.opened
        speaks = f"IKE {request.message.major}.{request.message.minor}" if request else "another version"
        knows = f"IKE {response.message.major}.{response.message.minor}" if response else "a lower one"
        yield Finding(
            kind=kinds.VERSION_MISMATCH,
            who=conversation.answering(exchange),
            text=f"{conversation.asking(exchange)} speaks {speaks}; the answer is INVALID_MAJOR_VERSION.",
            change=("Configure IKEv2 on both sides (strongSwan: version = 2, Libreswan: ikev2=yes).",),
            differences=(
                Difference("version", conversation.asking(exchange), speaks, conversation.answering(exchange), knows),
            ),
            evidence=frames(facts, exchange.request, exchange.response),
            subject=conversation.ends,
        )
        return


def stopped(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """An IKE_SA_INIT that was answered, and nothing behind it."""
    tries = list(conversation.of(ExchangeType.IKE_SA_INIT))
    last = tries[-1] if tries else None
    if last is None or not last.is_answered or not last.response.is_readable or last.response.errors():
        return
    answer = first_payload(last.response.payloads, SA)
    if answer is None or conversation.exchanges[-1] is not last:
        return
    if facts.end - last.response.last < PATIENCE and last.request.transmissions < TRIES:
        yield Finding(
            kind=kinds.CAPTURE_ENDS_EARLY,
            text="IKE_SA_INIT was answered, and nothing is behind it.",
            change=(
                f"Capture longer; if the initiator stops there, the log of {conversation.initiator} has the reason.",
            ),
            evidence=frames(facts, last.request, last.response),
            subject=conversation.ends,
        )
        return
    wrong = "; ".join(_not_asked_for(last))
    reason = f": {wrong}" if wrong else ""
    yield Finding(
        kind=Kind(
            code="answer-not-taken",
            severity=Severity.FAILURE,
            title="The initiator does not go on after IKE_SA_INIT",
            clause="RFC 7296 section 2.7",
            requirement="7296-2.7-02" if wrong else "",
        ),
        who=conversation.described(is_initiator=not wrong),
        text=f"IKE_SA_INIT was answered, and no IKE_AUTH followed{reason}.",
        change=(
            f"The fault lies with {conversation.responder}, whose answer does not fit the request."
            if wrong
            else f"Look into the log of {conversation.initiator}; capture there to see whether the answer arrives.",
        ),
        evidence=frames(facts, last.request, last.response),
        certainty=Certainty.CERTAIN if wrong else Certainty.LIKELY,
        subject=conversation.ends,
    )


def _not_asked_for(exchange: Exchange) -> Iterator[str]:
    """What an answer has that the request does not offer."""
    chosen = offered(exchange.response.payloads)
    offers = [set(one.specs) for one in offered(exchange.request.payloads)]
    if len(chosen) == 1 and not any(set(chosen[0].specs) <= one for one in offers):
        yield f"the answer chooses {format_suite(chosen[0].specs)}, which was not offered"
    groups = {spec.id for one in chosen for spec in one.specs if spec.type == TransformType.KE}
    key = first_payload(exchange.response.payloads, KE)
    if key and groups and key.group not in groups:
        wanted = ", ".join(map(group_word, groups))
        yield f"the answer has a value of {group_word(key.group)} beside a choice of {wanted}"
