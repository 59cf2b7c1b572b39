"""When an endpoint says that a peer may already use an SPI of ours: for as long as an answer is awaited."""

from dataclasses import replace

import pytest

from ipsectest.base.iana import ExchangeType, NotifyType
from ipsectest.ike.config import suites
from ipsectest.ike.events import ChildInstalled, ChildOffered, ExchangeFailed, IkeClosed, OfferEnded
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import IkeSa
from ipsectest.wire import Message, Notify, TrafficSelector
from tests.pair.world import World, connection

ABOUT_CHILDREN = ChildOffered, ChildInstalled, OfferEnded


class Refusing(Policy):
    """Refuses every CREATE_CHILD_SA request."""

    def fault(self, sa: IkeSa, request: Message) -> Notify | None:
        del sa
        refused = request.exchange_type == ExchangeType.CREATE_CHILD_SA
        return Notify(NotifyType.NO_ADDITIONAL_SAS) if refused else None


def told(world: World) -> list[type]:
    return [type(event) for event in world.alice.events if isinstance(event, ABOUT_CHILDREN)]


def test_the_spi_of_the_first_child_sa_is_offered_with_ike_auth() -> None:
    world = World()
    world.establish()
    assert told(world) == [ChildOffered, ChildInstalled, OfferEnded]
    assert {event.spi for event in world.alice.events if isinstance(event, ChildOffered)} == set(
        world.alice.installed()
    )
    assert not [event for event in world.bob.events if isinstance(event, ChildOffered | OfferEnded)]


def test_what_a_packet_wants_is_offered_with_ike_auth_and_stays_offered_in_a_rekey() -> None:
    world = World()
    wanted = world.alice.connection.children[0]
    packet = TrafficSelector.of("198.51.100.7", 17, (40000, 40000)), TrafficSelector.of("203.0.113.9", 17, (53, 53))
    world.alice.endpoint.initiate(world.alice.connection, world.now, wanted.wanted_by(*packet))
    world.run(1.0)
    for _ in range(2):
        (ours,), (theirs,) = world.alice.children(), world.bob.children()
        assert (ours.local_ts, ours.remote_ts) == ((packet[0], *wanted.local_ts), (packet[1], *wanted.remote_ts))
        assert (theirs.local_ts, theirs.remote_ts) == (ours.remote_ts, ours.local_ts)
        world.alice.endpoint.rekey_child(ours, world.now)
        world.run(1.0)


def test_it_is_told_before_the_request_leaves() -> None:
    world = World()
    world.establish()
    (child,) = world.alice.children()
    held = world.hold()
    world.alice.endpoint.rekey_child(child, world.now)
    assert isinstance(world.alice.endpoint.next_event(), ChildOffered)
    assert not held
    assert world.alice.endpoint.next_event() is None


def test_repetitions_offer_nothing_new() -> None:
    world = World()
    sa = world.establish()
    held = world.hold()
    world.alice.endpoint.create_child(sa, world.alice.connection.children[0], world.now)
    world.run(3.0)
    assert len(held) > 1
    assert len(world.alice.offered()) == 1
    world.release()
    assert not world.alice.offered()


def test_another_try_with_another_group_offers_the_same_spi() -> None:
    both = suites("aes128gcm16-modp2048", "aes128gcm16-x25519")
    child = replace(connection(at_alice=True).children[0], proposals=both)
    world = World(bob=connection(at_alice=False, child={"proposals": both[1:]}))
    sa = world.establish()
    world.alice.events.clear()
    world.alice.endpoint.create_child(sa, child, world.now)
    world.settle()
    assert told(world) == [ChildOffered, ChildInstalled, OfferEnded]
    requests = [one for one in world.sent if one.source == world.alice.connection.local]
    assert len(requests) == 4  # IKE_SA_INIT, IKE_AUTH and twice CREATE_CHILD_SA


def test_a_refusal_ends_the_offer() -> None:
    world = World()
    sa = world.establish()
    world.bob.endpoint.policy = Refusing()
    world.alice.events.clear()
    world.alice.endpoint.create_child(sa, world.alice.connection.children[0], world.now)
    world.settle()
    assert told(world) == [ChildOffered, OfferEnded]
    assert world.alice.seen(ExchangeFailed)


@pytest.mark.parametrize("deleted", [False, True])
def test_so_does_the_end_of_the_ike_sa(deleted: bool) -> None:
    world = World()
    sa = world.establish()
    world.alice.events.clear()
    world.route = lambda one: [] if one.source == world.alice.connection.local else [0.01]
    world.alice.endpoint.create_child(sa, world.alice.connection.children[0], world.now)
    if deleted:
        world.bob.endpoint.delete_ike(world.bob.ike(), world.now)
    world.run(600.0)
    assert world.alice.seen(IkeClosed)
    assert told(world) == [ChildOffered, OfferEnded]


def test_an_ike_sa_offers_no_child_sa() -> None:
    world = World()
    world.establish()
    world.alice.events.clear()
    world.alice.endpoint.rekey_ike(world.alice.ike(), world.now)
    world.settle()
    assert told(world) == []
