"""The end of a case: what is up at the peer is deleted, so that the peer stays clean. The verdict is made already."""

from dataclasses import dataclass, field

from ipsectest.base.clock import Instant
from ipsectest.base.iana import ExchangeType
from ipsectest.scenario.association import Association, Exchange
from ipsectest.scenario.composer import Composer
from ipsectest.scenario.session import Session

_TIDY = 0.5
"""Seconds for the answer to the Delete."""
_SHARED_TIDY = 1.5
"""The same where more depends on it: enough for a repetition."""


@dataclass(eq=False, slots=True)
class Closing:
    """Requests beyond the script: Deletes, and for a shared peer what makes half-open IKE SAs fit to be deleted."""

    session: Session
    composer: Composer
    begun: Instant
    exchanges: list[Exchange] = field(default_factory=list)

    def __post_init__(self) -> None:
        for association in list(self.session.associations.values()):
            if self._is_left(association):
                self._delete(association, self.begun)
            elif self._is_half_open(association):
                self._send([self.composer.authenticate(association, self.begun)], self.begun)

    @property
    def deadline(self) -> Instant:
        """When nothing more is waited for."""
        place = self.session.place
        return self.begun + (_SHARED_TIDY if place.shared else _TIDY) * place.slow

    def go_on(self, now: Instant) -> None:
        """Delete what has become established meanwhile."""
        waited = [e for e in self.exchanges if e.exchange_type == ExchangeType.IKE_AUTH and e.response is not None]
        for association in [exchange.association for exchange in waited]:
            if self._is_left(association) and not self._deletes(association):
                self._delete(association, now)

    def is_over(self, now: Instant) -> bool:
        """Whether every IKE SA is gone, or the time is over."""
        left = {exchange.association.name: exchange.association for exchange in self.exchanges}
        return now >= self.deadline - 1e-9 or all(map(self._is_gone, left.values()))

    def _is_gone(self, association: Association) -> bool:
        return association.closed or any(exchange.response is not None for exchange in self._deletes(association))

    def _deletes(self, association: Association) -> list[Exchange]:
        own = [exchange for exchange in self.exchanges if exchange.association is association]
        return [exchange for exchange in own if exchange.exchange_type == ExchangeType.INFORMATIONAL]

    def _is_left(self, association: Association) -> bool:
        """Whether the peer may still have it. With a peer that is shared even what it may have for half an exchange."""
        sa, shared = association.sa, self.session.place.shared
        if sa.keys is None or association.closed:
            return False
        if association.established:
            return sa.successor is None or shared
        return shared and _has_authenticated(association)

    def _is_half_open(self, association: Association) -> bool:
        """Whether a shared peer waits for our IKE_AUTH: many take few such IKE SAs from one address."""
        sa = association.sa
        waits = sa.keys is not None and sa.is_initiator and not association.closed
        return self.session.place.shared and waits and not _has_authenticated(association)

    def _delete(self, association: Association, now: Instant) -> None:
        """Ask for its end; a shared peer also by the message IDs that it may expect after a script of strange ones."""
        sa = association.sa
        ours = [exchange for exchange in association.exchanges if exchange.ours]
        following = sa.next_request_id
        made: list[Exchange] = []
        if self.session.place.shared:
            unanswered = [exchange.message_id for exchange in ours if exchange.taken_id and exchange.response is None]
            ahead = max((exchange.message_id + 1 for exchange in ours), default=following)
            for number in sorted({*unanswered[:1], ahead} - {following}):
                sa.next_request_id = number
                made.append(self.composer.delete(association, now))
        sa.next_request_id = following
        self._send([*made, self.composer.delete(association, now)], now)

    def _send(self, exchanges: list[Exchange], now: Instant) -> None:
        again = self.session.place.retransmit
        for exchange in exchanges:
            self.session.outbox += exchange.request_datagrams
            exchange.retransmit_at = now + again if again else None
        self.exchanges += exchanges


def _has_authenticated(association: Association) -> bool:
    return any(exchange.exchange_type == ExchangeType.IKE_AUTH for exchange in association.exchanges)
