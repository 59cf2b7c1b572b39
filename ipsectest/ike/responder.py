"""IKE_SA_INIT requests: the only ones that come before there is an IKE SA (RFC 7296 sections 2.1 and 2.6)."""

from typing import Protocol

from ipsectest.base.iana import NotifyType
from ipsectest.ike import ike_sa_init
from ipsectest.ike.checks import Check
from ipsectest.ike.cookies import CookieJar
from ipsectest.ike.events import Drop, DropReason
from ipsectest.ike.half_open import HalfOpen
from ipsectest.ike.sa import ZERO_SPI, IkeSa
from ipsectest.ike.session import Host, Incoming, Session
from ipsectest.ike.states import State
from ipsectest.wire import Payload


class Door(Host, Protocol):
    """What belongs to answering strangers."""

    half_open: HalfOpen[Session]
    cookies: CookieJar

    def answer_unprotected(self, incoming: Incoming, sa: IkeSa, payloads: list[Payload]) -> None:
        """Send a response for which no state is kept."""
        ...


def receive(door: Door, incoming: Incoming) -> Drop | None:
    """Answer an IKE_SA_INIT request; a Drop says why nothing came of it."""
    message, policy = incoming.message, door.policy
    if (refusal := _misfit(door, incoming)) is not None:
        return refusal
    known = door.half_open.find(incoming.octets)
    if known is not None and policy.checks(Check.RETRANSMISSION):
        return _repeat(known, incoming)
    connection = policy.connection_for(door.config, incoming.destination, incoming.source)
    if connection is None:
        return Drop(DropReason.NO_CONNECTION)
    sa = IkeSa.responder(message, connection, incoming.destination, incoming.source)
    if policy.wants_cookie(len(door.half_open), door.config):
        trusted = message.notify(NotifyType.COOKIE) is not None and not policy.checks(Check.COOKIE)
        if not trusted and not door.cookies.recognises(message, incoming.source, incoming.now):
            door.answer_unprotected(incoming, sa, [door.cookies.bake(message, incoming.source, incoming.now)])
            return None
    _negotiate(door, sa, incoming)
    return None


def _misfit(door: Door, incoming: Incoming) -> Drop | None:
    """Header fields that no first message has (RFC 7296 sections 2.2, 2.6 and 3.1)."""
    message, checks = incoming.message, door.policy.checks
    if message.initiator_spi == ZERO_SPI and checks(Check.INITIATOR_SPI):
        return Drop(DropReason.ZERO_SPI, "SPIi is zero")
    if message.responder_spi != ZERO_SPI and checks(Check.RESPONDER_SPI):
        return Drop(DropReason.UNKNOWN_SPI, "SPIr of a first message is not zero")
    if not message.from_initiator or (message.message_id and checks(Check.MESSAGE_ID)):
        return Drop(DropReason.MESSAGE_ID, "not a first message")
    return None


def _repeat(session: Session, incoming: Incoming) -> Drop | None:
    """The same request again: the same response, unless the exchange is long over (RFC 7296 section 2.1)."""
    stored = session.receive.stored(0, incoming.octets)
    if session.sa.state is not State.INIT_ANSWERED or stored is None:
        return Drop(DropReason.STALE_INIT)
    if not session.host.policy.checks(Check.STORED_RESPONSE):
        return Drop(DropReason.POLICY)
    session.repeat(incoming, stored)
    return None


def _negotiate(door: Door, sa: IkeSa, incoming: Incoming) -> None:
    session = Session(door, sa)
    ctx = session.context(incoming.now)
    verdict = ike_sa_init.read_request(sa, incoming.message, ctx)
    payloads = ike_sa_init.compose_response(sa, incoming.message, verdict, ctx)
    if not verdict.ok:
        door.answer_unprotected(incoming, sa, payloads)
        return
    sa.received(incoming.octets)
    sa.state = State.INIT_ANSWERED
    session.last_heard = incoming.now
    session.expires = incoming.now + door.config.half_open_timeout
    door.register(session)
    session.respond(incoming, payloads)
    oldest = door.half_open.add(incoming.octets, session)
    if oldest is not None:
        oldest.close("too many half-open IKE SAs", incoming.now)
