"""Child SAs that do not come about, or not as they were asked for."""

from collections.abc import Iterator
from dataclasses import replace

from ipsectest.base.iana import ExchangeType, NotifyType, name_of
from ipsectest.explain import kinds
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.causes.error_notifies import TABLE, Entry
from ipsectest.explain.causes.evidence import frames
from ipsectest.explain.causes.other_side import differences
from ipsectest.explain.causes.reachability import behind_nat
from ipsectest.explain.conversations import Conversation, Exchange
from ipsectest.explain.findings import Certainty, Difference, Finding, Kind, Severity
from ipsectest.explain.negotiated import asked, offered, selectors, suites
from ipsectest.explain.outcome import has_no_child, read_length
from ipsectest.wire import CP, Notify, Payload, TSi, TSr

_BOTH = ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA
_IKE = 1
_AT_FIRST = Entry(
    kinds.TEMPORARY_FAILURE,
    "before an IKE SA is up nothing can be busy, so a step of its own failed, mostly that its kernel took no SA.",
    ("Look into the log of {answering}.",),
)
"""TEMPORARY_FAILURE in IKE_AUTH."""


def proposal(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """NO_PROPOSAL_CHOSEN for a Child SA, or for the rekey of an IKE SA."""
    for exchange in _with(conversation, NotifyType.NO_PROPOSAL_CHOSEN):
        request = asked(conversation, exchange)
        asking, answering = conversation.asking(exchange), conversation.answering(exchange)
        is_ike = any(one.protocol == _IKE for one in offered(request))
        what = "rekey of the IKE SA" if is_ike else "Child SA"
        groups = exchange.type == ExchangeType.CREATE_CHILD_SA and not is_ike
        yield Finding(
            kind=Kind(
                code="ike-rekey-proposal-mismatch" if is_ike else "child-proposal-mismatch",
                severity=Severity.FAILURE,
                title=f"No common proposal for the {what}",
                clause="RFC 7296 section 2.7",
                requirement="7296-2.7-04",
            ),
            who=answering,
            text=f"The IKE SA is up; {answering} refuses every proposal for the {what} with NO_PROPOSAL_CHOSEN.",
            change=(
                (
                    f"Offer on {asking} what {answering} is configured for (strongSwan: esp_proposals, Libreswan: "
                    "esp=), or allow one of these there."
                ),
                *(
                    ("A group for PFS must be in both, or in neither: it shows only when a Child SA is rekeyed.",)
                    if groups
                    else ()
                ),
                f"If they agree, {answering} could not install the SA: its log says so (kernel without the algorithm).",
            ),
            differences=(
                *(Difference(f"{what} proposal", f"{asking} offers", one) for one in suites(request)),
                *differences(facts, _ends(conversation, exchange), _BOTH, f"{what} proposal", suites),
            ),
            evidence=frames(facts, exchange.request, exchange.response),
            certainty=Certainty.LIKELY,
            subject=conversation.ends,
        )
        return


def selectors_refused(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """TS_UNACCEPTABLE."""
    for exchange in _with(conversation, NotifyType.TS_UNACCEPTABLE):
        request = asked(conversation, exchange)
        asking, answering = conversation.asking(exchange), conversation.answering(exchange)
        own, other = (", ".join(selectors(request, kind)) or "nothing" for kind in (TSi, TSr))
        yield Finding(
            kind=kinds.TRAFFIC_SELECTOR_MISMATCH,
            who=answering,
            text=f"The IKE SA is up; of the traffic that {asking} asks for, {answering} wants none: TS_UNACCEPTABLE.",
            change=(
                (
                    f"On {answering} the local subnet must contain a part of {other} and the remote one a part of "
                    f"{own}: compare with its configuration (strongSwan: local_ts and remote_ts, Libreswan: "
                    "leftsubnet and rightsubnet; they are mirrored on the two sides)."
                ),
                *_for_transport(_natted(conversation, request), answering),
            ),
            differences=(
                Difference("traffic selectors", f"{asking} asks for itself", own),
                Difference("traffic selectors", f"{asking} asks for {answering}", other),
                *differences(facts, _ends(conversation, exchange), _BOTH, "traffic selectors", _ways),
            ),
            evidence=frames(facts, exchange.request, exchange.response),
            subject=conversation.ends,
        )
        return


def _ends(conversation: Conversation, exchange: Exchange) -> tuple[str, str]:
    """Who answers, then who asks."""
    ends = conversation.responder, conversation.initiator
    return ends if exchange.by_initiator else ends[::-1]


def _ways(payloads: list[Payload]) -> list[str]:
    own, other = (", ".join(selectors(payloads, kind)) for kind in (TSi, TSr))
    return [f"{own} === {other}"] if own and other else []


def _for_transport(natted: list[str], answering: str) -> Iterator[str]:
    if natted:
        yield (
            f"In transport mode {answering} has to put the address that it sees in place of the one behind the NAT "
            f"({', '.join(natted)}) and to have that one in its configuration (RFC 7296 section 2.23.1); Libreswan "
            "does not do so in IKEv2: take tunnel mode there."
        )


def _natted(conversation: Conversation, payloads: list[Payload]) -> list[str]:
    """Who is behind a NAT, if it is transport mode: then each end names hosts by the addresses that it sees."""
    transport = NotifyType.USE_TRANSPORT_MODE
    is_transport = any(isinstance(one, Notify) and one.notify_type == transport for one in payloads)
    return behind_nat(conversation) if is_transport else []


def narrowed(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """A responder that took a part of the selectors only."""
    for exchange in conversation.of(*_BOTH):
        request, response = asked(conversation, exchange), exchange.response.payloads
        kept = _ports if _natted(conversation, response) else set
        rows = [
            Difference(f"traffic of {end}", "asked for", ", ".join(wanted), "granted", ", ".join(given))
            for kind, end in ((TSi, conversation.asking(exchange)), (TSr, conversation.answering(exchange)))
            if (wanted := selectors(request, kind))
            and (given := selectors(response, kind))
            and kept(given) != kept(wanted)
        ]
        if not rows or _is_dynamic(exchange):
            continue
        yield Finding(
            kind=kinds.TRAFFIC_SELECTORS_NARROWED,
            who=conversation.answering(exchange),
            text="Packets outside of what was granted do not go through this Child SA.",
            change=("If some traffic does not pass, configure the same selectors, mirrored, on both sides.",),
            differences=tuple(rows),
            evidence=frames(facts, exchange.response),
            subject=conversation.ends,
        )
        return


def _ports(several: tuple[str, ...]) -> set[str]:
    """Selectors without their addresses."""
    return {text.partition(" ")[2] for text in several}


def _is_dynamic(exchange: Exchange) -> bool:
    """Whether the initiator got an address: narrowing is meant then (RFC 7296 section 2.19)."""
    return any(isinstance(payload, CP) for payload in exchange.response.payloads)


def refused_unread(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """An encrypted answer of IKE_AUTH that has no room for a Child SA."""
    exchange = has_no_child(conversation)
    if exchange is None:
        return
    responder = conversation.responder
    later = any(one.is_answered for one in conversation.of(ExchangeType.CREATE_CHILD_SA))
    yield Finding(
        kind=Kind(
            code="child-refused",
            severity=Severity.WARNING if later else Severity.FAILURE,
            title="No Child SA comes about" if not later else "No Child SA comes about in IKE_AUTH",
            clause="RFC 7296 section 1.2",
            requirement="7296-1.2-13",
        ),
        who=conversation.described(is_initiator=False),
        text="Its encrypted answer of IKE_AUTH has room for identity and proof, and not for a Child SA: the IKE SA "
        "is up, the Child SA was refused (or never asked for: RFC 6023; or EAP was given up here).",
        change=(
            (
                f"Compare ESP proposals and traffic selectors of both sides; the log of {responder} tells which do not "
                "fit."
            ),
            "Give the keys of the IKE SA with -k to read the message itself (docs/keys.md).",
        ),
        evidence=frames(facts, exchange.response),
        certainty=Certainty.LIKELY,
        subject=conversation.ends,
    )


def create_refused_unread(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """Encrypted answers of CREATE_CHILD_SA that have room for one error notification only."""
    exchanges = [one for one in conversation.of(ExchangeType.CREATE_CHILD_SA) if one.is_answered]
    refused = [one for one in exchanges if (length := read_length(conversation, one)) and length.is_error_alone]
    refused = [one for one in refused if not one.response.is_readable]
    if not refused:
        return
    is_last = refused[-1] is exchanges[-1]
    yield Finding(
        kind=replace(kinds.CREATE_CHILD_SA_REFUSED, severity=Severity.FAILURE if is_last else Severity.WARNING),
        who=conversation.answering(refused[-1]),
        text=f"{len(refused)} of {len(exchanges)} encrypted answers have room for one error notification and nothing "
        f"else{'' if is_last else '; a later one has more'}.",
        change=(
            (
                f"The log of {conversation.answering(refused[-1])} has the reason: proposals (a PFS group shows only "
                "now), selectors, or both sides rekeying at once."
            ),
            "Give the keys of the IKE SA with -k to read the message itself (docs/keys.md).",
        ),
        evidence=frames(facts, *(half for one in refused[:3] for half in (one.request, one.response))),
        certainty=Certainty.LIKELY,
        subject=conversation.ends,
    )


def other_errors(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """Every other error notification that has a line in the table."""
    told = set()
    for exchange in conversation.exchanges:
        for notify in exchange.response.errors():
            entry = TABLE.get(notify.notify_type)
            if entry is None or entry.kind.code in told:
                continue
            told.add(entry.kind.code)
            is_fatal = exchange.type == ExchangeType.IKE_AUTH
            if is_fatal and notify.notify_type == NotifyType.TEMPORARY_FAILURE:
                entry = _AT_FIRST
            asking, answering = conversation.asking(exchange), conversation.answering(exchange)
            names = {"asking": asking, "answering": answering}
            kind = name_of(ExchangeType, exchange.type)
            yield Finding(
                kind=replace(entry.kind, severity=Severity.FAILURE if is_fatal else entry.kind.severity),
                who=answering,
                text=f"{answering} answers {kind} request {exchange.message_id} with "
                f"{name_of(NotifyType, notify.notify_type)}: {entry.text.format(**names)}",
                change=tuple(line.format(**names) for line in entry.change),
                evidence=frames(facts, exchange.request, exchange.response),
                certainty=Certainty.LIKELY if entry is _AT_FIRST else Certainty.CERTAIN,
                subject=conversation.ends,
            )


def _with(conversation: Conversation, kind: NotifyType) -> Iterator[Exchange]:
    return (one for one in conversation.of(*_BOTH) if one.response.notify(kind))
