"""Transport mode between two hosts with NATs on the way (RFC 7296 section 2.23.1)."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.iana import NotifyType
from ipsectest.ike.config import ChildConfig, ConnectionConfig, Mode
from ipsectest.ike.events import ChildInstalled, ExchangeFailed, PeerMoved
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import IkeSa
from ipsectest.wire import TrafficSelector
from tests.pair.world import LATENCY, World, connection

CLIENT, SERVER = "10.1.0.2", "10.2.0.2"
OUTER_CLIENT, OUTER_SERVER = "192.0.2.1", "192.0.2.2"
ANYONE = TrafficSelector.of("0.0.0.0/0")
NATS = pytest.mark.parametrize(("client_nat", "server_nat"), [(True, False), (False, True), (True, True)])


class Nats(World):
    """Alice is the client. Each end may stand behind a NAT of its own, which turns one address into another."""

    def __init__(
        self,
        *,
        client_nat: bool,
        server_nat: bool,
        alice: ChildConfig | None = None,
        bob: ChildConfig | None = None,
        **settings: object,
    ) -> None:
        self.client = CLIENT if client_nat else OUTER_CLIENT
        self.server = SERVER if server_nat else OUTER_SERVER
        self.client_outside, self.server_outside = OUTER_CLIENT, OUTER_SERVER
        super().__init__(
            alice=self._end_of(self.client, OUTER_SERVER, alice or host_to_host(self.client, OUTER_SERVER)),
            bob=self._end_of(self.server, "%any", bob or host_to_host(self.server, None)),
            **settings,
        )
        self.route = self._translate

    @staticmethod
    def _end_of(local: str, remote: str, child: ChildConfig) -> ConnectionConfig:
        base = connection(at_alice=remote != "%any")
        return replace(base, local=Address(local, 500), remote=Address(remote, 500), children=(child,))

    def _translate(self, datagram: Datagram) -> list[float]:
        outwards = {self.client: self.client_outside, self.server: self.server_outside}
        inwards = {outside: inside for inside, outside in outwards.items()}
        source = Address(outwards[datagram.source.host], datagram.source.port)
        destination = Address(inwards[datagram.destination.host], datagram.destination.port)
        self.fly(replace(datagram, source=source, destination=destination), LATENCY)
        return []


class Unaware(Policy):
    """Of what NATs mean for transport mode."""

    def substitutes(self, sa: IkeSa) -> bool:
        del sa
        return False


def host_to_host(local: str, remote: str | None, mode: Mode = Mode.TRANSPORT) -> ChildConfig:
    there = TrafficSelector.of(remote) if remote else ANYONE
    return ChildConfig("hosts", (TrafficSelector.of(local),), (there,), mode=mode)


def addresses(selectors: tuple[TrafficSelector, ...]) -> set[str]:
    return {str(ip_address(address)) for one in selectors for address in (one.start, one.end)}


def check(world: Nats) -> None:
    """Both ends have transport mode between the addresses that they see, and know those that the other one sees."""
    (ours,), (theirs,) = world.alice.children(), world.bob.children()
    assert ours.mode is theirs.mode is Mode.TRANSPORT
    assert (addresses(ours.local_ts), addresses(ours.remote_ts)) == ({world.client}, {OUTER_SERVER})
    assert (addresses(theirs.local_ts), addresses(theirs.remote_ts)) == ({world.server}, {world.client_outside})
    seen_by_client = ip_address(OUTER_SERVER).packed, ip_address(world.client).packed
    seen_by_server = ip_address(world.client_outside).packed, ip_address(world.server).packed
    assert (theirs.real.local, theirs.real.remote) == seen_by_client
    assert (ours.real.local, ours.real.remote) == seen_by_server
    world.agree()


@NATS
def test_each_end_has_the_addresses_that_it_sees(client_nat: bool, server_nat: bool) -> None:
    world = Nats(client_nat=client_nat, server_nat=server_nat)
    world.establish()
    check(world)


@NATS
@pytest.mark.parametrize("end", ["alice", "bob"])
def test_a_rekey_by_either_end_keeps_them(client_nat: bool, server_nat: bool, end: str) -> None:
    world = Nats(client_nat=client_nat, server_nat=server_nat)
    world.establish()
    rekeying = getattr(world, end)
    (old,) = rekeying.children()
    rekeying.endpoint.rekey_child(old, world.now)
    world.settle()
    (new,) = rekeying.children()
    assert new is not old
    check(world)


def test_without_a_nat_nothing_is_substituted() -> None:
    world = Nats(client_nat=False, server_nat=False)
    world.establish()
    assert [child.real for end in (world.alice, world.bob) for child in end.children()] == [None, None]
    assert addresses(world.bob.children()[0].remote_ts) == {OUTER_CLIENT}


def test_an_offer_is_for_the_address_of_the_ike_packets_alone() -> None:
    wide = ChildConfig("wide", (TrafficSelector.of("10.0.0.0/8"),), (ANYONE,), mode=Mode.TRANSPORT)
    world = Nats(client_nat=True, server_nat=False, alice=wide)
    world.establish()
    check(world)


def test_the_policy_of_the_server_is_asked_for_the_address_of_the_nat() -> None:
    world = Nats(client_nat=True, server_nat=False, bob=host_to_host(OUTER_SERVER, CLIENT))
    world.establish()
    assert not world.alice.children()
    assert any(event.notify.notify_type == NotifyType.TS_UNACCEPTABLE for event in world.alice.seen(ExchangeFailed))
    world = Nats(client_nat=True, server_nat=False, bob=host_to_host(OUTER_SERVER, OUTER_CLIENT))
    world.establish()
    check(world)


def test_a_server_of_tunnels_is_asked_for_what_the_client_wrote() -> None:
    world = Nats(client_nat=True, server_nat=True, bob=host_to_host(OUTER_SERVER, CLIENT, Mode.TUNNEL))
    world.establish()
    (theirs,) = [event.child for event in world.bob.seen(ChildInstalled)]
    assert (theirs.mode, theirs.real) == (Mode.TUNNEL, None)
    assert (addresses(theirs.local_ts), addresses(theirs.remote_ts)) == ({OUTER_SERVER}, {CLIENT})
    assert not world.alice.children()  # our client wants transport mode or nothing
    world.agree()


def test_an_offer_for_several_hosts_is_no_transport_mode() -> None:
    wide = ChildConfig("wide", (TrafficSelector.of("10.1.0.0/24"),), (ANYONE,), mode=Mode.TRANSPORT)
    world = Nats(client_nat=True, server_nat=False, alice=wide, policies=(Unaware(), Policy()))
    world.establish()
    assert not world.alice.children()
    assert any(event.notify.notify_type == NotifyType.TS_UNACCEPTABLE for event in world.alice.seen(ExchangeFailed))


@pytest.mark.parametrize("end", ["alice", "bob"])
def test_a_rekey_takes_up_that_the_nat_has_moved(end: str) -> None:
    world = Nats(client_nat=True, server_nat=False)
    world.establish()
    world.client_outside = "192.0.2.9"
    world.alice.endpoint.liveness(world.alice.ike(), world.now)
    world.settle()
    assert world.bob.seen(PeerMoved)
    rekeying = getattr(world, end)
    rekeying.endpoint.rekey_child(rekeying.children()[0], world.now)
    world.settle()
    check(world)
