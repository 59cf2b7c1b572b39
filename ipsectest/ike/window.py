"""Message IDs in both directions: requests that wait for responses, responses kept for repeated requests.

RFC 7296 sections 2.1 to 2.3. Nothing here knows what is in a message.
"""

from dataclasses import dataclass, field
from enum import Enum

from ipsectest.base.clock import Instant
from ipsectest.ike.context import Context
from ipsectest.wire import Message

LAST_MESSAGE_ID = 0xFFFFFFFF
RENEW_FROM = LAST_MESSAGE_ID - 0xFFFFF
"""Message ID of ours from which on an IKE SA is rekeyed: it must not need more than 32 bits (RFC 7296 section 2.2)."""
CLOSE_FROM = LAST_MESSAGE_ID - 0xFF
"""Message ID of ours from which on an IKE SA that could not be rekeyed is closed, and asks for nothing else."""


@dataclass(eq=False, slots=True)
class Request:
    """A request of ours on the wire."""

    message: Message
    octets: bytes
    """Sent again bit by bit (RFC 7296 section 2.1)."""
    ctx: Context
    transmissions: int = 0
    next_at: Instant = 0.0
    """When to send it again, or to give up."""

    @property
    def message_id(self) -> int:
        """Its Message ID."""
        return self.message.message_id


class SendWindow:
    """Our outstanding requests."""

    def __init__(self) -> None:
        self.requests: dict[int, Request] = {}

    def has_room(self, next_id: int, size: int) -> bool:
        """Whether a request with next_id stays within the peer's window of size (RFC 7296 section 2.3)."""
        return not self.requests or next_id < min(self.requests) + size

    def deadline(self) -> Instant | None:
        """When the first of them needs attention."""
        return min((request.next_at for request in self.requests.values()), default=None)

    def due(self, now: Instant) -> list[Request]:
        """Requests whose time has come."""
        return [request for request in self.requests.values() if request.next_at <= now]


class Place(Enum):
    """Where a request's Message ID lies."""

    FRESH = "fresh"
    SEEN = "seen"
    """Answered before: the stored response is due, if the octets are the same."""
    OUTSIDE = "outside"


@dataclass(slots=True)
class _Answered:
    request: bytes
    response: bytes


@dataclass(slots=True)
class ReceiveWindow:
    """The peer's requests that we have answered, or may still get."""

    size: int = 1
    """Requests we take at once."""
    next_id: int = 0
    """Smallest Message ID not answered yet."""
    _answered: dict[int, _Answered] = field(default_factory=dict)

    def place(self, message_id: int) -> Place:
        """What a request with this ID is."""
        if message_id in self._answered:
            return Place.SEEN
        return Place.FRESH if self.next_id <= message_id < self.next_id + self.size else Place.OUTSIDE

    def stored(self, message_id: int, request: bytes) -> bytes | None:
        """The response to a request with exactly these octets."""
        answered = self._answered.get(message_id)
        return answered.response if answered and answered.request == request else None

    def answer(self, message_id: int, request: bytes, response: bytes) -> None:
        """Keep a response until a request ``size`` later arrives (RFC 7296 section 2.1)."""
        self._answered[message_id] = _Answered(request, response)
        while self.next_id in self._answered:
            self.next_id += 1
        highest = max(self._answered)
        for old in [i for i in self._answered if i <= highest - self.size]:
            del self._answered[old]

    @property
    def is_empty(self) -> bool:
        """Whether there is no response that could be asked for again."""
        return not self._answered
