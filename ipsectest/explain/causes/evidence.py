"""Frames of a capture as evidence."""

from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.conversations import Half
from ipsectest.explain.findings import Evidence

_MOST = 6


def frames(facts: CaptureFacts, *halves: Half) -> tuple[Evidence, ...]:
    """The first datagrams of messages."""
    numbers = sorted({one.frame for half in halves for one in half.sightings[:_MOST]})
    return numbered(facts, numbers)


def numbered(facts: CaptureFacts, numbers: list[int]) -> tuple[Evidence, ...]:
    """Frames by number."""
    return tuple(Evidence(facts.name, number) for number in numbers[:_MOST])
