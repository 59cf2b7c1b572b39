"""One handshake with a remote peer, and everything that tells why it failed."""

from dataclasses import dataclass, replace

from ipsectest.base.clock import RandomBytes
from ipsectest.base.iana import ExchangeType, NotifyType
from ipsectest.ike.config import EndpointConfig, Retransmission
from ipsectest.ike.endpoint import Endpoint
from ipsectest.ike.events import ChildInstalled, Event, ExchangeFailed, IkeClosed, IkeEstablished
from ipsectest.ike.messages import first_error
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.net.loop import EventLoop
from ipsectest.net.udp_driver import UdpDriver
from ipsectest.net.wire import Wire
from ipsectest.wire import Message, Notify

CAP = 10.0
"""Seconds for all of it."""
_RETRANSMISSION = Retransmission(0.8, 1.8, 3)
_FAREWELL = 2.0


@dataclass(slots=True)
class Handshake:
    """What came of it."""

    sa: IkeSa
    answered: bool = False
    """Whether an answer to IKE_SA_INIT came."""
    obstacle: str = ""
    """If not: what the way to the peer says of that."""
    asked_cookie: bool = False
    refused_init: Notify | None = None
    """The error in it."""
    refused_auth: Notify | None = None
    """The error that the peer told in IKE_AUTH: of the IKE SA, or of the Child SA."""
    established: bool = False
    child: ChildSa | None = None
    encapsulated: bool = False
    """Whether its ESP goes in UDP."""
    no_child: str = ""
    """Why there is no Child SA, in the words of our endpoint."""
    closed: str = ""
    """Why the IKE SA is gone."""


class _Witness(Policy):
    """Behaves well, and remembers what the peer says."""

    def __init__(self) -> None:
        self.seen: list[Message] = []

    def incoming(self, sa: IkeSa | None, message: Message) -> Message | None:
        """Keep it."""
        self.seen.append(message)
        return super().incoming(sa, message)


def attempt(wire: Wire, config: EndpointConfig, random: RandomBytes) -> Handshake:
    """Set up the one connection of the configuration and delete it again."""
    witness = _Witness()
    endpoint = Endpoint(replace(config, retransmission=_RETRANSMISSION), random, witness)
    with EventLoop() as loop:
        found = Handshake(endpoint.initiate(config.connections[0], loop.clock.now()))
        events: list[Event] = []
        driver: UdpDriver[Event] = UdpDriver(endpoint, wire, events.append)
        loop.add(driver)
        driver.flush(loop.clock.now())

        def is_over() -> bool:
            while events:
                _take(found, events.pop(0))
            while witness.seen:
                _read(found, witness.seen.pop(0))
            return _is_over(found)

        loop.run_until(is_over, CAP)
        if found.established and not found.closed:
            endpoint.delete_ike(found.sa, loop.clock.now())
            driver.flush(loop.clock.now())
            loop.run_until(lambda: any(isinstance(event, IkeClosed) for event in events), _FAREWELL)
        loop.remove(driver)
    return found


def _is_over(found: Handshake) -> bool:
    refused = found.refused_init and found.refused_init.notify_type != NotifyType.INVALID_KE_PAYLOAD
    return bool(found.closed or refused or found.child or (found.established and found.no_child))


def _read(found: Handshake, message: Message) -> None:
    error = first_error(message)
    if message.exchange_type == ExchangeType.IKE_SA_INIT:
        found.answered = True
        found.asked_cookie |= message.notify(NotifyType.COOKIE) is not None
        found.refused_init = error
    elif message.exchange_type == ExchangeType.IKE_AUTH and error is not None:
        found.refused_auth = error


def _take(found: Handshake, event: Event) -> None:
    match event:
        case IkeEstablished():
            found.established = True
        case ChildInstalled():
            found.child, found.encapsulated = event.child, event.udp_ports is not None
        case ExchangeFailed():
            found.no_child = event.reason
        case IkeClosed():
            found.closed = event.reason
