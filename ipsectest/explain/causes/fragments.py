"""Messages of which a part did not come: fragments of IKE (RFC 7383) and of IP."""

from collections.abc import Iterator

from ipsectest.base.iana import ExchangeType, name_of
from ipsectest.explain import kinds
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.causes.evidence import frames, numbered
from ipsectest.explain.conversations import MOST_SIGHTINGS, Conversation
from ipsectest.explain.findings import Certainty, Finding

_IKE_FRAGMENTATION = (
    "Switch on IKE fragmentation on both sides (strongSwan: fragmentation = yes, Libreswan: fragmentation=yes), or "
    "make messages smaller: ECDSA instead of RSA, fewer certificates."
)


def of_ike(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """Some fragments of a message, and never the others."""
    for exchange in conversation.exchanges:
        for half, sender in (
            (exchange.request, conversation.asking(exchange)),
            (exchange.response, conversation.answering(exchange)),
        ):
            seen = {one.fragment for one in half.sightings if one.fragment}
            total = max((of for _, of in seen), default=0)
            missing = sorted(
                set(range(1, min(total, MOST_SIGHTINGS) + 1)) - {number for number, of in seen if of == total}
            )
            if not missing or len(half.sightings) >= MOST_SIGHTINGS:
                continue
            kind = name_of(ExchangeType, exchange.type)
            yield Finding(
                kind=kinds.IKE_FRAGMENT_LOST,
                who=f"the way from {sender}",
                text=f"Of {kind} message {exchange.message_id} fragment {', '.join(map(str, missing[:8]))} of "
                f"{total} never came.",
                change=(
                    (
                        f"Lower the size of fragments at {sender} (strongSwan: charon.fragment_size) below the MTU of "
                        "the way; look for a firewall that drops bursts or large UDP packets."
                    ),
                ),
                evidence=frames(facts, half),
                subject=conversation.ends,
            )
            return


def of_ip(facts: CaptureFacts) -> Iterator[Finding]:
    """IP packets of which some fragments came, between hosts that speak IKE."""
    hosts = {ends for one in facts.conversations.found for ends in (one.ends,)}
    told: dict[tuple[str, str], list[int]] = {}
    for packet in facts.path.fragmented.values():
        if not packet.is_whole and frozenset((packet.source, packet.destination)) in hosts:
            told.setdefault((packet.source, packet.destination), []).extend(packet.frames[:2])
    for (source, destination), numbers in told.items():
        yield Finding(
            kind=kinds.IP_FRAGMENT_LOST,
            who=f"the way from {source} to {destination}",
            text="Packets came in part only: some firewall or NAT drops IP fragments, often all but the first.",
            change=("Let IP fragments pass in every firewall between the two.", _IKE_FRAGMENTATION),
            evidence=numbered(facts, sorted(set(numbers))),
            certainty=Certainty.LIKELY,
            subject=frozenset((source, destination)),
        )
