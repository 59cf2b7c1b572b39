"""What the side that refuses asks for itself somewhere in the capture: often the very answer."""

from collections.abc import Callable, Iterator

from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.conversations import Conversation, Exchange
from ipsectest.explain.findings import Difference
from ipsectest.wire import Payload

MOST = 4


def requests_of(
    facts: CaptureFacts, host: str, towards: str, kinds: tuple[int, ...]
) -> Iterator[tuple[Conversation, Exchange]]:
    """Requests of some types that a host sent to another."""
    for conversation in facts.conversations.found:
        if conversation.ends != frozenset((host, towards)):
            continue
        for exchange in conversation.of(*kinds):
            asking = conversation.initiator if exchange.by_initiator else conversation.responder
            if asking == host:
                yield conversation, exchange


def differences(
    facts: CaptureFacts,
    ends: tuple[str, str],
    kinds: tuple[int, ...],
    what: str,
    words: Callable[[list[Payload]], list[str]],
) -> tuple[Difference, ...]:
    """Rows for what ``ends[0]`` itself asks ``ends[1]`` for."""
    found: dict[str, Difference] = {}
    for _, exchange in requests_of(facts, *ends, kinds):
        for text in words(exchange.request.payloads):
            if len(found) < MOST:
                found.setdefault(text, Difference(what, f"{ends[0]} itself asks for", text))
    return tuple(found.values())
