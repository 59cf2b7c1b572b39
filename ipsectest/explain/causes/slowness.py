"""Answers that come, but late."""

from collections.abc import Iterator

from ipsectest.base.iana import ExchangeType, name_of
from ipsectest.explain import kinds
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.causes.evidence import frames
from ipsectest.explain.conversations import Conversation, Exchange
from ipsectest.explain.findings import Certainty, Finding

_LATE = 1_500_000_000
"""Nanoseconds; a request was repeated by then, and round trips are shorter."""


def answers_late(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """Requests that had to be repeated before an answer came: the latest of them is told."""
    late = [one for one in conversation.exchanges if _delay(one) >= _LATE and one.request.transmissions > 1]
    if not late:
        return
    worst = max(late, key=_delay)
    asked, answered = (conversation.described(is_initiator=worst.by_initiator is end) for end in (True, False))
    name = name_of(ExchangeType, worst.type)
    text = (
        f"{name} {worst.message_id} was answered {_delay(worst) / 1e9:.1f} s after it was sent first, at the "
        f"{worst.request.transmissions - 1}. repetition or behind it"
    )
    text += f"; {len(late)} requests waited so long." if len(late) > 1 else "."
    yield Finding(
        kind=kinds.ANSWERS_LATE,
        who=answered,
        text=text,
        change=(
            f"Look at the load of {answered}, and at what lies on the way to it: requests get lost, or wait.",
            (
                f"Let {asked} repeat more often before it gives up (strongSwan: charon.retransmit_tries, Libreswan: "
                "retransmit-timeout)."
            ),
        ),
        evidence=frames(facts, worst.request, worst.response),
        certainty=Certainty.LIKELY,
        subject=conversation.ends,
    )


def _delay(exchange: Exchange) -> int:
    """Nanoseconds from the first request to the first response; 0 where one of them was not seen."""
    if not exchange.request.sightings or not exchange.response.sightings:
        return 0
    return exchange.response.sightings[0].nanoseconds - exchange.request.sightings[0].nanoseconds
