"""How long handshakes take and how many SAs two endpoints set up in a second."""

from collections.abc import Callable
from dataclasses import replace

from ipsectest.base.errors import LabError
from ipsectest.base.iana import NotifyType
from ipsectest.ike.config import ConnectionConfig
from ipsectest.ike.events import ChildInstalled, Dropped, Event, ExchangeDone, IkeClosed, PeerNotify
from ipsectest.net.loop import EventLoop
from ipsectest.runner.gateway import TunnelGateway
from ipsectest.wire import Notify, parse_message

_PATIENCE = 60.0
_FIRST_STATUS = 16384
"""Notify types below it tell errors (RFC 7296 section 3.10.1)."""


class Negotiation:
    """An initiator and a responder in one loop."""

    def __init__(self, loop: EventLoop, initiator: TunnelGateway, responder: TunnelGateway) -> None:
        self._loop = loop
        self._initiator = initiator
        self._responder = responder
        # INITIAL_CONTACT of the second of several handshakes would end the first one's IKE SA.
        self._connection: ConnectionConfig = replace(initiator.endpoint.config.connections[0], initial_contact=False)

    def connect(self) -> None:
        """One tunnel, to stay."""
        self._both(ChildInstalled, 1, self._initiate)

    def handshakes(self, count: int) -> list[float]:
        """Seconds of each of so many handshakes, one after the other; each IKE SA is deleted again."""
        times = []
        for _ in range(count):
            times.append(self._both(ChildInstalled, 1, self._initiate))
            self._delete_all()
        return times

    def ike_sas_per_second(self, count: int) -> float:
        """The rate of so many handshakes that start at once."""

        def start() -> None:
            for _ in range(count):
                self._initiate()

        elapsed = self._both(ChildInstalled, count, start)
        self._delete_all()
        return count / elapsed

    def child_sas_per_second(self, count: int) -> float:
        """The rate of so many CREATE_CHILD_SA exchanges in one IKE SA."""
        self._both(ChildInstalled, 1, self._initiate)
        (sa,) = self._initiator.endpoint.sessions()

        def start() -> None:
            for _ in range(count):
                self._initiator.endpoint.create_child(sa, self._connection.children[0], self._loop.clock.now())

        elapsed = self._both(ExchangeDone, count, start, responder=False)
        self._delete_all()
        return count / elapsed

    def _initiate(self) -> None:
        self._initiator.endpoint.initiate(self._connection, self._loop.clock.now())

    def _delete_all(self) -> None:
        sessions = self._initiator.endpoint.sessions()

        def start() -> None:
            for sa in sessions:
                self._initiator.endpoint.delete_ike(sa, self._loop.clock.now())

        self._both(IkeClosed, len(sessions), start)

    def _both(self, kind: type[Event], count: int, start: Callable[[], None], *, responder: bool = True) -> float:
        """Seconds from the start until both ends told so many events of a kind."""
        gateways = [self._initiator, *([self._responder] if responder else [])]
        for gateway in gateways:
            gateway.events.clear()
        before = self._loop.clock.now()
        start()
        self._initiator.flush()

        def is_over() -> bool:
            return all(gateway.has(kind, count) for gateway in gateways) or bool(self._refusal())

        if not self._loop.run_until(is_over, _PATIENCE):
            raise LabError(f"the endpoints do not get to {count} x {kind.__name__} within {_PATIENCE:.0f} s")
        if refusal := self._refusal():
            raise LabError(f"the responder answers {refusal}: --ike and --esp have to be whole suites")
        return self._loop.clock.now() - before

    def _refusal(self) -> str:
        """The error that the responder answered with, if it did.

        In IKE_SA_INIT it is unprotected, and the endpoint waits for a better answer (RFC 7296 section 2.21.1); here
        nobody forges any.
        """
        return next(filter(None, map(_error, self._initiator.events)), "")


def _error(event: Event) -> str:
    match event:
        case PeerNotify(notify=notify):
            found: Notify | None = notify
        case Dropped(data=data):
            found = parse_message(data).get(Notify)
        case _:
            return ""
    kinds = NotifyType.__members__.values()
    return next((kind.name for kind in kinds if found and kind == found.notify_type < _FIRST_STATUS), "")
