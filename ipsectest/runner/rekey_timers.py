"""What a gateway of ours does by itself when its SAs have lived long enough: it rekeys them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ipsectest.base.clock import Clock, Instant
from ipsectest.ike.endpoint import Endpoint
from ipsectest.ike.sa import ChildSa, ChildState, IkeSa
from ipsectest.ike.states import State
from ipsectest.runner.endpoint_reports import established, installed

RETRY = 30.0
"""Seconds after which a rekey that came to nothing is tried again."""


@dataclass(frozen=True, slots=True)
class Ages:
    """Seconds after which SAs are rekeyed; 0: never."""

    ike: float
    child: float


class RekeyTimers:
    """A machine for the loop of an endpoint; ``ages``: of its SAs, by the name of their connection.

    An SA is as old as the turn of the loop at which it is first seen. ``flush`` sends what the endpoint says.
    """

    def __init__(self, clock: Clock, endpoint: Endpoint, flush: Callable[[], None], ages: Mapping[str, Ages]) -> None:
        self._clock = clock
        self._endpoint = endpoint
        self._flush = flush
        self._ages = dict(ages)
        self._due: dict[IkeSa | ChildSa, Instant] = {}

    def handles(self) -> Sequence[int]:
        """None."""
        return ()

    def readable(self, handle: int, now: Instant) -> None:
        """Not called."""

    def get_timer(self) -> Instant | None:
        """When the next SA is old enough."""
        now = self._clock.now()
        self._due = {sa: self._due.get(sa, now + age) for sa, age in self._living()}
        return min(self._due.values(), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Rekey what is old enough, unless the peer is at it."""
        for sa in [sa for sa, due in self._due.items() if due <= now]:
            self._due[sa] = now + RETRY
            with suppress(LookupError):  # it is gone since
                if isinstance(sa, IkeSa) and sa.state is State.ESTABLISHED:
                    self._endpoint.rekey_ike(sa, now)
                elif isinstance(sa, ChildSa) and sa.state is ChildState.INSTALLED:
                    self._endpoint.rekey_child(sa, now)
        self._flush()

    def _living(self) -> Iterator[tuple[IkeSa | ChildSa, float]]:
        for sa in established(self._endpoint):
            ages = self._ages.get(sa.connection.name, Ages(0, 0))
            if ages.ike:
                yield sa, ages.ike
            if ages.child:
                yield from ((child, ages.child) for child in installed(sa))
