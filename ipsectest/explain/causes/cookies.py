"""COOKIE in IKE_SA_INIT: demanded again and again, not given back, not taken back (RFC 7296 section 2.6)."""

from collections.abc import Iterator

from ipsectest.base.iana import ExchangeType, NotifyType
from ipsectest.explain import kinds
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.causes.evidence import frames
from ipsectest.explain.causes.reachability import PATIENCE, is_unanswered
from ipsectest.explain.conversations import Conversation, Exchange
from ipsectest.explain.findings import Certainty, Finding

ROUNDS = 3
"""So many demands for a cookie in one attempt are a loop: one is usual, two may be a changed secret."""
_MOST_SHOWN = 4


def cookies(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """What follows a demand for a cookie, other than the cookie and an answer."""
    tries = list(conversation.of(ExchangeType.IKE_SA_INIT))
    demands = [one for one in tries if one.response.notify(NotifyType.COOKIE)]
    if not demands:
        return
    behind = tries[tries.index(demands[-1]) + 1 :]
    if len(demands) >= ROUNDS:
        yield _loop(conversation, facts, tries, demands)
    elif not behind and (times := _rounds(demands[-1])) >= ROUNDS:
        yield _not_returned(
            conversation,
            facts,
            demands,
            f"The same request came {demands[-1].request.transmissions} times, and {times} demands for a cookie "
            "were the answer: they do not arrive, or the initiator does not know what they are.",
        )
    elif not behind and facts.end - demands[-1].response.last > PATIENCE:
        told = "After the demand for a cookie no further IKE_SA_INIT request was seen."
        yield _not_returned(conversation, facts, demands, told)
    elif behind and is_unanswered(behind[-1], facts) and behind[-1].request.notify(NotifyType.COOKIE):
        yield _not_taken(conversation, facts, demands[-1], behind[-1])


def _rounds(exchange: Exchange) -> int:
    """How often the same request got a cookie, whether each was another or not."""
    return min(exchange.request.transmissions, sum(exchange.response.times.values()))


def _loop(conversation: Conversation, facts: CaptureFacts, tries: list[Exchange], demands: list[Exchange]) -> Finding:
    given = sum(one.request.notify(NotifyType.COOKIE) is not None for one in tries)
    count = f"{len(demands)}{' and more' if conversation.forgotten else ''}"
    shown = demands if len(demands) <= _MOST_SHOWN else [*demands[:_MOST_SHOWN], demands[-1]]
    return Finding(
        kind=kinds.COOKIE_LOOP,
        who=conversation.described(is_initiator=not given),
        text=f"{count} demands in one attempt, and {given} requests that carried a cookie.{_sources(tries)}",
        change=(
            (
                "The responder does not take its own cookie back: its secret changes too often, several machines "
                "behind one address answer in turn (bind an initiator to one of them), or a NAT gives the requests "
                "different source addresses."
            )
            if given
            else "The initiator does not give the cookie back: it needs an update.",
        ),
        evidence=frames(facts, *(half for one in shown for half in (one.request, one.response))),
        subject=conversation.ends,
    )


def _not_returned(conversation: Conversation, facts: CaptureFacts, demands: list[Exchange], text: str) -> Finding:
    return Finding(
        kind=kinds.COOKIE_NOT_RETURNED,
        who=conversation.described(is_initiator=True),
        text=text,
        change=("Look whether the answer reaches the initiator: capture there.",),
        evidence=frames(facts, *(half for one in demands for half in (one.request, one.response))),
        certainty=Certainty.LIKELY,
        subject=conversation.ends,
    )


def _not_taken(conversation: Conversation, facts: CaptureFacts, demand: Exchange, last: Exchange) -> Finding:
    return Finding(
        kind=kinds.COOKIE_NOT_TAKEN,
        who=conversation.described(is_initiator=False),
        text=f"It demanded a cookie, and did not answer the {last.request.transmissions} requests that brought it "
        f"back.{_sources([demand, last])}",
        change=(
            (
                "A cookie holds for the address that it was made for: look for a NAT that gives each request another "
                "source address, or for several machines behind the address of the responder."
            ),
            f"Look into the log of {conversation.responder}, and capture there: the larger request may be lost.",
        ),
        evidence=frames(facts, demand.request, demand.response, last.request),
        certainty=Certainty.LIKELY,
        subject=conversation.ends,
    )


def _sources(tries: list[Exchange]) -> str:
    """Where the requests came from, if not from one address."""
    hosts = dict.fromkeys(sighting.source.host for one in tries for sighting in one.request.sightings)
    if len(hosts) < 2:
        return ""
    return f" They came from {len(hosts)} addresses: {', '.join(list(hosts)[:_MOST_SHOWN])}."
