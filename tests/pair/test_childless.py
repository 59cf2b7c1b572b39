"""IKE SAs without a Child SA from the start (RFC 6023)."""

import pytest

from ipsectest.base.iana import NotifyType
from ipsectest.ike.config import Childless
from ipsectest.ike.events import ChildInstalled, ExchangeDone, ExchangeFailed, IkeClosed, IkeEstablished
from ipsectest.ike.states import State
from ipsectest.ike.tasks import Initiate
from tests.pair.world import World, connection

ALLOW, NEVER, FORCE = Childless


def world_of(
    alice: Childless, bob: Childless, faults: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()), **changes: object
) -> World:
    return World(
        alice=connection(at_alice=True, childless=alice, **changes),
        bob=connection(at_alice=False, childless=bob),
        impairments=faults,
    )


@pytest.mark.parametrize("responder", [ALLOW, FORCE])
def test_ike_sa_comes_alone_and_gets_its_child_sa_later(responder: Childless) -> None:
    world = world_of(FORCE, responder)
    sa = world.establish()
    world.agree()
    assert sa.children == {}
    assert not world.bob.seen(ChildInstalled)
    assert world.alice.seen(ExchangeDone) == [ExchangeDone(sa, Initiate())]
    world.alice.endpoint.create_child(sa, world.alice.connection.children[0], world.now)
    world.settle()
    world.agree()
    assert len(sa.children) == 1


def test_connection_without_child_sas_is_childless_as_well() -> None:
    world = world_of(ALLOW, ALLOW, children=())
    sa = world.establish()
    world.agree()
    assert (sa.state, sa.children) == (State.ESTABLISHED, {})


@pytest.mark.parametrize("initiator", [ALLOW, NEVER])
def test_child_sa_is_asked_for_though_it_need_not_be(initiator: Childless) -> None:
    world = world_of(initiator, ALLOW)
    assert len(world.establish().children) == 1
    world.agree()


def test_initiator_gives_up_where_nothing_is_announced() -> None:
    world = world_of(FORCE, NEVER)
    sa = world.alice.endpoint.initiate(world.alice.connection, world.now)
    world.run(200)
    assert world.closed()
    assert "childless" in world.alice.seen(IkeClosed)[0].reason
    assert sa.next_request_id == 0


def test_unannounced_childless_request_is_a_syntax_error() -> None:
    world = world_of(FORCE, NEVER, (("childless-unannounced",), ()))
    world.alice.endpoint.initiate(world.alice.connection, world.now)
    world.settle()
    assert world.closed()
    assert "INVALID_SYNTAX" in world.alice.seen(IkeClosed)[0].reason
    assert not world.bob.seen(IkeEstablished)


def test_responder_that_wants_no_child_sa_refuses_only_that() -> None:
    world = world_of(ALLOW, FORCE)
    sa = world.establish()
    world.agree()
    assert sa.children == {}
    (failed,) = world.alice.seen(ExchangeFailed)
    assert failed.notify.notify_type == NotifyType.NO_PROPOSAL_CHOSEN
