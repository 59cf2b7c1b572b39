"""A gateway follows a peer whose NAT changes its mapping (RFC 7296 section 2.23)."""

from dataclasses import replace

import pytest

from ipsectest.base.addresses import Address, Datagram
from ipsectest.ipsec.gateway import Gateway, open_datagram, seal_datagram
from ipsectest.ipsec.inner import Echo, build_echo
from ipsectest.ipsec.packets import Unprotected
from ipsectest.ipsec.sa import SecurityAssociation
from tests.unit.ipsec.sas import SPI, arguments, seeded

CLIENT, SERVER = "192.0.2.1", "192.0.2.2"
OLD, NEW = Address(CLIENT, 20000), Address("192.0.2.9", 30000)
PACKET = build_echo(Echo("198.51.100.1", "203.0.113.1", 1, 1, b"", is_reply=False))
BACK = b"\xba\xad\xca\xfe"


def association(*, spi: bytes = SPI, to_client: bool = False, **changes: object) -> SecurityAssociation:
    """One SA between client and server, UDP-encapsulated."""
    ends, ports = ((SERVER, CLIENT), (4500, OLD.port)) if to_client else ((CLIENT, SERVER), (OLD.port, 4500))
    values = arguments("aes128gcm16", spi=spi)
    values |= {"spi": spi, "source": ends[0], "destination": ends[1], "udp_ports": ports}
    return SecurityAssociation(**values | changes)


def server(*, may_move: bool, told: list | None = None) -> Gateway:
    made = Gateway(on_move=lambda old, new: told is not None and told.append((old, new)))
    made.add(outbound=association(spi=BACK, to_client=True), inbound=association(may_move=may_move))
    return made


def sent(sender: SecurityAssociation, source: Address) -> Datagram:
    return replace(seal_datagram(sender, PACKET, seeded(1)), source=source)


def target(gateway: Gateway) -> Address:
    answer = gateway.outbound(PACKET, seeded(2))
    assert isinstance(answer, Datagram)
    return answer.destination


def test_the_newest_genuine_packet_shows_where_the_peer_is() -> None:
    told: list[tuple[Address, Address]] = []
    gateway, client = server(may_move=True, told=told), association()
    late = sent(client, OLD)
    assert isinstance(gateway.inbound(sent(client, NEW)), Unprotected)
    assert target(gateway) == NEW
    assert isinstance(gateway.inbound(late), Unprotected)
    assert target(gateway) == NEW, "a late packet leads back to the old mapping"
    assert told == [(OLD, NEW)]
    gateway.remove(outbound=gateway.tunnels()[0])
    assert not gateway.tunnels()


def test_forged_and_replayed_packets_move_nothing() -> None:
    gateway, client = server(may_move=True), association()
    genuine = sent(client, OLD)
    gateway.inbound(genuine)
    gateway.inbound(replace(genuine, source=NEW))
    gateway.inbound(replace(sent(client, NEW), data=SPI + bytes(60)))
    assert target(gateway) == OLD


def test_a_peer_without_a_nat_is_not_followed() -> None:
    gateway = server(may_move=False)
    assert isinstance(gateway.inbound(sent(association(), NEW)), Unprotected)
    assert target(gateway) == OLD


@pytest.mark.parametrize("who", [OLD, Address(CLIENT, 20001)])
def test_moving_concerns_one_address_and_port_only(who: Address) -> None:
    gateway = server(may_move=False)
    gateway.move(who, NEW)
    assert target(gateway) == (NEW if who == OLD else OLD)
    (tunnel,) = gateway.tunnels()
    sealed = seal_datagram(tunnel, PACKET, seeded(3))
    assert isinstance(open_datagram(association(spi=BACK, to_client=True), sealed), Unprotected)
