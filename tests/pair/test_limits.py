"""What an endpoint does at its own limits and at those of its peer."""

import pytest

from ipsectest.base.iana import ExchangeType, NotifyType
from ipsectest.ike.config import ChildConfig
from ipsectest.ike.events import ChildInstalled, ExchangeFailed, IkeClosed
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import IkeSa
from ipsectest.ike.session import Session
from ipsectest.ike.states import State
from ipsectest.ike.window import CLOSE_FROM, LAST_MESSAGE_ID, RENEW_FROM, Place, ReceiveWindow
from ipsectest.wire import Message, Notify
from tests.pair.world import End, World


class Minimal(Policy):
    """Refuses every CREATE_CHILD_SA request (RFC 7296 section 4)."""

    notify = NotifyType.NO_PROPOSAL_CHOSEN

    def fault(self, sa: IkeSa, request: Message) -> Notify | None:
        del sa
        return Notify(self.notify) if request.exchange_type == ExchangeType.CREATE_CHILD_SA else None


def session_of(end: End) -> Session:
    """The session of an end's one IKE SA."""
    return end.endpoint._sessions[end.ike().spi_local]


def count_from(world: World, message_id: int) -> None:
    """As if alice had sent so many requests already."""
    world.alice.ike().next_request_id = message_id
    session_of(world.bob).receive = ReceiveWindow(world.bob.endpoint.config.window, message_id)


def test_ike_sa_is_rekeyed_before_its_message_ids_run_out() -> None:
    world = World()
    old = world.establish()
    count_from(world, RENEW_FROM - 1)
    for _ in range(3):
        world.alice.endpoint.liveness(old, world.now)
        world.settle()
    world.agree()
    new = world.alice.ike()
    assert new is old.successor
    assert new.next_request_id == 2
    assert len(world.alice.children()) == 1
    assert world.drops() == []


@pytest.mark.parametrize("window", [1, 4])
def test_ike_sa_that_cannot_be_rekeyed_is_closed_before_its_message_ids_run_out(window: int) -> None:
    world = World(window=window)
    sa = world.establish()
    world.bob.endpoint.policy = Minimal()
    count_from(world, CLOSE_FROM - 2)
    for _ in range(6):
        world.alice.endpoint.liveness(sa, world.now)
    world.settle()
    assert world.closed()
    assert world.alice.seen(IkeClosed)[0].reason == "out of Message IDs"
    assert sa.next_request_id <= LAST_MESSAGE_ID
    assert world.drops() == []


def test_message_ids_do_not_wrap_at_the_receiver() -> None:
    window = ReceiveWindow(4, LAST_MESSAGE_ID)
    assert window.place(LAST_MESSAGE_ID) is Place.FRESH
    window.answer(LAST_MESSAGE_ID, b"q", b"a")
    assert [window.place(message_id) for message_id in range(8)] == [Place.OUTSIDE] * 8


def child_of(world: World) -> ChildConfig:
    return world.alice.connection.children[0]


def test_as_many_child_sas_as_configured_and_no_more() -> None:
    world = World(max_children=3)
    sa = world.establish()
    for _ in range(4):
        world.alice.endpoint.create_child(sa, child_of(world), world.now)
        world.settle()
    world.agree()
    assert len(world.bob.children()) == 3
    refused, unasked = world.alice.seen(ExchangeFailed)
    assert refused.notify.notify_type == NotifyType.NO_ADDITIONAL_SAS
    # The second time nothing is asked, until there is room again.
    assert (unasked.notify, unasked.reason) == (None, "the peer takes no more Child SAs")
    sent = len(world.sent)
    world.alice.endpoint.delete_child(world.alice.children()[0], world.now)
    world.alice.endpoint.create_child(sa, child_of(world), world.now)
    world.settle()
    world.agree()
    assert len(world.sent) == sent + 4
    assert len(world.bob.children()) == 3


def test_child_sa_can_be_rekeyed_where_there_may_be_no_more() -> None:
    world = World(max_children=1)
    sa = world.establish()
    for end in (world.alice, world.bob):
        end.endpoint.rekey_child(end.children()[0], world.now)
        world.settle()
    world.agree()
    assert [len(end.seen(ChildInstalled)) for end in (world.alice, world.bob)] == [3, 3]
    world.alice.endpoint.rekey_ike(sa, world.now)
    world.settle()
    world.agree()
    assert sa.successor is not None


def test_what_the_peer_does_not_rekey_comes_with_a_new_ike_sa() -> None:
    for verb in ("ike", "child"):
        world = World()
        old = world.establish()
        world.bob.endpoint.policy = Minimal()
        world.bob.endpoint.policy.notify = NotifyType.NO_ADDITIONAL_SAS
        if verb == "ike":
            world.alice.endpoint.rekey_ike(old, world.now)
        else:
            world.alice.endpoint.rekey_child(world.alice.children()[0], world.now)
        world.settle()
        world.agree()
        assert old.state is State.CLOSED
        assert world.alice.ike().spi_i != old.spi_i
        assert len(world.alice.children()) == 1


def test_one_of_several_child_sas_that_the_peer_does_not_rekey_is_made_anew() -> None:
    class NoChildRekey(Minimal):
        notify = NotifyType.NO_ADDITIONAL_SAS

        def fault(self, sa: IkeSa, request: Message) -> Notify | None:
            return super().fault(sa, request) if request.notify(NotifyType.REKEY_SA) else None

    world = World(policies=(Policy(), NoChildRekey()))
    sa = world.establish()
    world.alice.endpoint.create_child(sa, child_of(world), world.now)
    world.settle()
    old = world.alice.children()[0]
    world.alice.endpoint.rekey_child(old, world.now)
    world.settle()
    world.agree()
    assert world.alice.ike() is sa
    assert len(world.alice.children()) == 2
    assert old not in world.alice.children()


def test_window_is_one_after_an_ike_rekey_until_it_is_announced_again() -> None:
    world = World(window=4)
    old = world.establish()
    assert old.peer_window == 4
    held, checked = world.hold(), 0
    world.alice.endpoint.rekey_ike(old, world.now)
    world.collect()
    while held:
        world.deliver(held.pop(0))
        if old.successor is not None and old.successor.peer_window == 1:
            for _ in range(3):
                world.alice.endpoint.liveness(old, world.now)
            world.collect()
            assert len(session_of(world.alice).send.requests) == 1
            checked += 1
    world.held = None
    assert checked
    world.agree()
    assert [end.ike().peer_window for end in (world.alice, world.bob)] == [4, 4]
    assert world.drops() == []
