"""IKE_SA_INIT requests that made us a responder: found again by their octets, bounded in number.

RFC 7296 section 2.1: a repeated IKE_SA_INIT request is told from a new one by the whole packet, since two
initiators behind one NAT may choose the same SPI.
"""

import hashlib
from typing import Generic, TypeVar

S = TypeVar("S")


class HalfOpen(Generic[S]):
    """Sessions by IKE_SA_INIT request, and which of them still wait for IKE_AUTH."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_request: dict[bytes, S] = {}
        self._request_of: dict[S, bytes] = {}
        self._waiting: dict[S, None] = {}

    def __len__(self) -> int:
        """How many wait for IKE_AUTH."""
        return len(self._waiting)

    def find(self, octets: bytes) -> S | None:
        """The session that this very request made."""
        return self._by_request.get(_digest(octets))

    def add(self, octets: bytes, session: S) -> S | None:
        """Remember a session; the oldest waiting one, if there are too many, is returned to be closed."""
        digest = _digest(octets)
        self._by_request[digest] = session
        self._request_of[session] = digest
        self._waiting[session] = None
        return next(iter(self._waiting)) if len(self._waiting) > self._limit else None

    def has_authenticated(self, session: S) -> None:
        """The session is past IKE_AUTH."""
        self._waiting.pop(session, None)

    def forget(self, session: S) -> None:
        """The session is gone."""
        self._waiting.pop(session, None)
        digest = self._request_of.pop(session, None)
        if digest is not None and self._by_request.get(digest) is session:
            del self._by_request[digest]


def _digest(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()
