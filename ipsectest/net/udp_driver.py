"""Runs a sans-IO endpoint over a wire: datagrams in, datagrams out, timers, events."""

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import Instant
from ipsectest.net.data_plane import UserDataPlane, carries_esp
from ipsectest.net.wire import Wire

Event = TypeVar("Event")
Event_co = TypeVar("Event_co", covariant=True)


class SansIoEndpoint(Protocol[Event_co]):
    """The surface of ``ike.endpoint.Endpoint`` (docs/architecture.md)."""

    def receive_datagram(self, data: bytes, source: Address, destination: Address, now: Instant, /) -> None:
        """A datagram arrived."""
        ...

    def datagrams_to_send(self, now: Instant, /) -> list[Datagram]:
        """What is to be sent; each datagram is given once."""
        ...

    def get_timer(self) -> Instant | None:
        """When ``handle_timer`` is due."""
        ...

    def handle_timer(self, now: Instant, /) -> None:
        """The time has come."""
        ...

    def next_event(self) -> Event_co | None:
        """The next thing that happened, None when there is no more."""
        ...


class UdpDriver(Generic[Event]):
    """A machine for ``EventLoop``: one endpoint on one wire.

    ESP that arrives on the wire goes to ``data_plane``, if there is one. ``on_event`` gets each event
    of the endpoint in order, for instance to give the plane its SAs.
    """

    def __init__(
        self,
        endpoint: SansIoEndpoint[Event],
        wire: Wire,
        on_event: Callable[[Event], None],
        data_plane: UserDataPlane | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.wire = wire
        self.data_plane = data_plane
        self.unsent = 0
        """Datagrams that the wire did not take; the endpoint's retransmission makes up for them."""
        self._on_event = on_event

    def handles(self) -> Sequence[int]:
        """The wire's descriptors."""
        return self.wire.handles()

    def readable(self, handle: int, now: Instant) -> None:
        """Give what has arrived to the endpoint or the data plane, and send what they answer."""
        for datagram in self.wire.receive(handle, now):
            if not carries_esp(datagram):
                self.endpoint.receive_datagram(datagram.data, datagram.source, datagram.destination, now)
                self.flush(now)  # ESP right behind a response may need the SA that the response makes
            elif self.data_plane:
                self.data_plane.receive(datagram, now)

    def get_timer(self) -> Instant | None:
        """The endpoint's next deadline."""
        return self.endpoint.get_timer()

    def handle_timer(self, now: Instant) -> None:
        """Let the endpoint do what is due."""
        self.endpoint.handle_timer(now)
        self.flush(now)

    def flush(self, now: Instant) -> None:
        """Deliver events and send what waits; call it after each verb given to the endpoint."""
        while (event := self.endpoint.next_event()) is not None:
            self._on_event(event)
        for datagram in self.endpoint.datagrams_to_send(now):
            self.unsent += not self.wire.send(datagram, now)
