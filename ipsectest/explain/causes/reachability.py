"""Requests that nobody answers: unreachable peers, port 4500 shut, messages too big for the way."""

from collections.abc import Iterator
from dataclasses import replace

from ipsectest.base.iana import NAT_T_PORT, ExchangeType, NotifyType, name_of
from ipsectest.explain import kinds
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.causes.evidence import frames, numbered
from ipsectest.explain.conversations import Conversation, Exchange
from ipsectest.explain.findings import Certainty, Finding, Severity
from ipsectest.explain.outcome import is_established
from ipsectest.explain.path import IcmpError
from ipsectest.ike.nat import detection_hash

PATIENCE = 2_000_000_000
"""Nanoseconds after which a request counts as not answered, if it was sent once only."""
TRIES = 2
"""Of a request on an established IKE SA that make it count as not answered."""
ANSWERS = 3
"""Times that a request has to come in spite of answers; one repetition may have crossed its answer."""
LARGE = 1200
"""Octets of an IP packet that may be too large for some way; fragments of IPv6 need not be larger (RFC 7383 2.5.1)."""


def is_unanswered(exchange: Exchange, facts: CaptureFacts) -> bool:
    """Whether it was asked more than once, or long before the end of the capture, in vain."""
    if exchange.is_answered or not exchange.request.sightings:
        return False
    return exchange.request.transmissions > 1 or facts.end - exchange.request.last > PATIENCE


def unreachable(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """IKE_SA_INIT without any answer."""
    tries = list(conversation.of(ExchangeType.IKE_SA_INIT))
    if not tries or any(one.is_answered for one in tries) or not tries[-1].request.sightings:
        return
    last = tries[-1]
    errors = [one for one in facts.path.errors if one.destination == conversation.responder]
    if not errors and not is_unanswered(last, facts):
        yield Finding(
            kind=kinds.CAPTURE_ENDS_EARLY,
            text="One IKE_SA_INIT request, nothing behind it.",
            change=("Capture longer.",),
            evidence=frames(facts, last.request),
            subject=conversation.ends,
        )
        return
    port = last.request.sightings[0].destination.port
    times = sum(one.request.transmissions for one in tries)
    text = f"{times} IKE_SA_INIT requests to UDP port {port}, no answer"
    if errors:
        text += f"; {errors[0].reporter} reports: {errors[0].text}"
    yield Finding(
        kind=kinds.PEER_UNREACHABLE,
        who=conversation.described(is_initiator=False),
        text=f"{text}.",
        change=tuple(_ways_out(conversation, port, errors)),
        evidence=(*frames(facts, last.request), *numbered(facts, [one.frame for one in errors[:2]])),
        certainty=Certainty.CERTAIN if errors else Certainty.LIKELY,
        subject=conversation.ends,
    )


def _ways_out(conversation: Conversation, port: int, errors: list[IcmpError]) -> Iterator[str]:
    responder = conversation.responder
    if any("port" in one.text for one in errors):
        yield f"Nothing listens on UDP port {port} of {responder}: start its IKE daemon, or let it listen there."
    elif any("prohibited" in one.text for one in errors):
        yield f"{errors[0].reporter} forbids it: allow UDP 500 and 4500 to {responder} there."
    elif errors:
        yield f"Mend the route to {responder}: {errors[0].reporter} has none that works."
    else:
        yield f"Check that {responder} is the right address, up, and runs an IKE daemon."
        yield f"Allow UDP 500 and 4500 in both directions in every firewall between {conversation.initiator} and it."
        yield f"Capture on {responder}: if the requests arrive there, its log says why it is silent."


def nat_traversal(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """Port 500 works and port 4500 does not."""
    exchange = _stuck(conversation, facts)
    if exchange is None or exchange.request.sightings[0].destination.port != NAT_T_PORT or _is_large(exchange, facts):
        return
    behind = behind_nat(conversation)
    told = f"A NAT was detected in front of {' and '.join(behind)}. " if behind else ""
    errors = [one for one in facts.path.errors if one.destination == conversation.responder and one.port == NAT_T_PORT]
    reported = f" {errors[0].reporter} reports: {errors[0].text}." if errors else ""
    yield Finding(
        kind=kinds.NAT_T_BLOCKED,
        who=f"the way between {conversation.initiator} and {conversation.responder}",
        text=f"{told}IKE_SA_INIT was answered on port 500; {exchange.request.transmissions} requests to port 4500 "
        f"were not.{reported}",
        change=(
            (
                "Allow UDP 4500 in both directions in every firewall and NAT between the two; all IKE and ESP goes "
                "there once a NAT was found."
            ),
            f"If 4500 is open, {conversation.responder} drops the message in silence: look into its log.",
        ),
        evidence=(*frames(facts, exchange.request), *numbered(facts, [one.frame for one in errors[:2]])),
        certainty=Certainty.CERTAIN if errors else Certainty.LIKELY,
        subject=conversation.ends,
    )


def silent_auth(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """IKE_AUTH on port 500 without an answer, and nothing large about it."""
    exchange = _stuck(conversation, facts)
    if exchange is None or exchange.request.sightings[0].destination.port == NAT_T_PORT or _is_large(exchange, facts):
        return
    yield Finding(
        kind=kinds.NO_ANSWER_TO_AUTH,
        who=conversation.described(is_initiator=False),
        text=f"IKE_SA_INIT was answered; {exchange.request.transmissions} requests behind it were not.",
        change=(
            (
                f"Look into the log of {conversation.responder}: a message that it cannot decrypt or place is dropped "
                "in silence."
            ),
        ),
        evidence=frames(facts, exchange.request),
        certainty=Certainty.LIKELY,
        subject=conversation.ends,
    )


def large_message(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """A large message is repeated in vain while small ones pass, or fragments of it are missing."""
    exchange = _stuck(conversation, facts)
    if exchange is None or not _is_large(exchange, facts):
        return
    first = exchange.request.sightings[0]
    pieces = [one for one in facts.path.fragmented.values() if first.frame in one.frames]
    in_fragments = any(one.fragment for one in exchange.request.sightings)
    length = max(one.packet_length for one in exchange.request.sightings)
    how = "in fragments of IKE" if in_fragments else "in IP fragments" if pieces else "in one piece"
    mtus = [one.mtu for one in facts.path.errors if one.mtu and one.destination == conversation.responder]
    advice = [
        f"Lower the size of fragments of IKE on {conversation.initiator} (strongSwan: charon.fragment_size; RFC 7383 "
        "2.5.1)."
        if in_fragments
        else "Switch on IKE fragmentation on both sides (strongSwan: fragmentation = yes, Libreswan: "
        "fragmentation=yes).",
        "Let IP fragments pass in every firewall between the two, and ICMP of packets too big.",
        "Send fewer or smaller certificates (ECDSA instead of RSA, no intermediate ones that the peer has).",
    ]
    yield Finding(
        kind=kinds.LARGE_MESSAGE_LOST,
        who=f"the way between {conversation.initiator} and {conversation.responder}",
        text=f"{exchange.request.transmissions} times a request of {length} octets {how} without an answer, while "
        f"small messages were answered{f'; the way takes {min(mtus)} octets' if mtus else ''}.",
        change=tuple(advice),
        evidence=frames(facts, exchange.request),
        certainty=Certainty.CERTAIN if mtus else Certainty.LIKELY,
        subject=conversation.ends,
    )


def dead_peer(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """Requests on an established IKE SA that nobody answers."""
    established = is_established(conversation)
    if established is False:
        return
    later = conversation.of(ExchangeType.INFORMATIONAL, ExchangeType.CREATE_CHILD_SA, ExchangeType.IKE_FOLLOWUP_KE)
    for exchange in later:
        # A Delete at the very end is often answered by nobody: its receiver may be gone by then.
        if not is_unanswered(exchange, facts) or exchange.request.transmissions < TRIES:
            continue
        kind = name_of(ExchangeType, exchange.type)
        silent = conversation.answering(exchange)
        host = conversation.responder if exchange.by_initiator else conversation.initiator
        heard = [
            flow for flow in facts.flows.found.values() if flow.source == host and flow.last > exchange.request.last
        ]
        before = "answered before and is silent now" if established else "is silent"
        text = f"{silent} {before}: {exchange.request.transmissions} times {kind} request "
        text += f"{exchange.message_id} without an answer"
        text += f", although its ESP still comes ({heard[0].packets} packets)" if heard else ""
        yield Finding(
            kind=kinds.DEAD_PEER,
            who=silent,
            text=f"{text}.",
            change=(
                (
                    f"Look why {host} stopped: a restart, a changed address, a NAT mapping that timed out (shorter "
                    "keepalive interval), a route that is gone."
                ),
                "To come back by itself: strongSwan dpd_action = restart, Libreswan auto=start or ondemand.",
            ),
            evidence=frames(facts, exchange.request),
            certainty=Certainty.LIKELY if heard else Certainty.CERTAIN,
            subject=conversation.ends,
        )
        return


def answers_lost(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """A request that comes again and again although its answer was sent each time."""
    for exchange in conversation.exchanges:
        asked, answered = exchange.request, exchange.response
        if (
            answered.notify(NotifyType.COOKIE)  # told with cookies
            or asked.transmissions < ANSWERS
            or answered.transmissions < TRIES
            or asked.last < answered.sightings[0].nanoseconds
        ):
            continue
        is_last = exchange is conversation.exchanges[-1]
        kind = name_of(ExchangeType, exchange.type)
        yield Finding(
            kind=replace(kinds.ANSWERS_LOST, severity=Severity.FAILURE if is_last else Severity.WARNING),
            who=f"the way to {conversation.asking(exchange)}",
            text=f"{kind} request {exchange.message_id} came {asked.transmissions} times although it was answered "
            f"{answered.transmissions} times{'' if is_last else '; it went on later'}.",
            change=(
                (
                    f"Let the answers of {conversation.answering(exchange)} pass: firewalls that forget UDP flows, a "
                    "route back that differs, a NAT on the way back, answers that are too large for the way."
                ),
                "Capture on both sides to see where they vanish.",
            ),
            evidence=frames(facts, asked, answered),
            certainty=Certainty.LIKELY,
            subject=conversation.ends,
        )
        return


def _stuck(conversation: Conversation, facts: CaptureFacts) -> Exchange | None:
    """The request behind an answered IKE_SA_INIT that nobody answers."""
    if not any(one.is_answered for one in conversation.of(ExchangeType.IKE_SA_INIT)):
        return None
    kinds = ExchangeType.IKE_AUTH, ExchangeType.IKE_INTERMEDIATE
    return next((one for one in conversation.of(*kinds) if is_unanswered(one, facts)), None)


def _is_large(exchange: Exchange, facts: CaptureFacts) -> bool:
    sightings = exchange.request.sightings
    return any(one.packet_length > LARGE or one.fragment for one in sightings) or any(
        one.frame in piece.frames for one in sightings for piece in facts.path.fragmented.values()
    )


def behind_nat(conversation: Conversation) -> list[str]:
    """Who is behind a NAT by the hashes of IKE_SA_INIT, in words (RFC 7296 section 2.23)."""
    found = set()
    for exchange in conversation.of(ExchangeType.IKE_SA_INIT):
        for half, is_initiator in ((exchange.request, True), (exchange.response, False)):
            if half.opened is None:
                continue
            message, sighting = half.opened.message, half.sightings[0]
            spis = message.initiator_spi, message.responder_spi
            for kind, address, end in (
                (NotifyType.NAT_DETECTION_SOURCE_IP, sighting.source, is_initiator),
                (NotifyType.NAT_DETECTION_DESTINATION_IP, sighting.destination, not is_initiator),
            ):
                told = [bytes(one.data) for one in half.notifies() if one.notify_type == kind]
                if told and detection_hash(*spis, address) not in told:
                    found.add(end)
    return [conversation.described(is_initiator=end) for end in sorted(found, reverse=True)]
