"""Exchanges that cross (RFC 7296 sections 2.8 and 2.25): named crossings, and every pair of verbs in many orders.

The cases follow what strongSwan's exchange tests cover: each end as the original initiator, each order of nonces,
delayed and lost requests and responses.
"""

import random
from collections.abc import Callable
from itertools import product

import pytest

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import RandomBytes
from ipsectest.base.iana import NotifyType
from ipsectest.ike.config import suites
from ipsectest.ike.events import ChildInstalled, ChildRekeyed, ExchangeFailed, IkeClosed, IkeEstablished
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import ChildSa
from ipsectest.ike.states import State
from tests.pair.world import ALICE, End, World, connection


class ChosenNonces(Policy):
    """Nonces that begin with a chosen octet, so that a collision's winner is known."""

    def __init__(self, first: int) -> None:
        self.first = first

    def nonce(self, random: RandomBytes) -> bytes:
        return bytes([self.first]) + random(31)


def crossing_world(winner: str, esp: str = "aes128gcm16") -> World:
    """An established pair in which the SA that ``winner`` makes survives a collision."""
    firsts = (0x80, 0x10) if winner == "alice" else (0x10, 0x80)
    child = {"proposals": suites(esp)}
    world = World(
        alice=connection(at_alice=True, child=child),
        bob=connection(at_alice=False, child=child),
        policies=(ChosenNonces(0xFF), ChosenNonces(0xFF)),
    )
    world.establish()
    for end, first in zip((world.alice, world.bob), firsts, strict=True):
        # The answering end's nonces must not decide: the lowest of four nonces is the loser's own.
        policy = end.endpoint.policy
        assert isinstance(policy, ChosenNonces)
        policy.first = first
    return world


def split(held: list[Datagram]) -> tuple[list[Datagram], list[Datagram]]:
    """(from alice, from bob), taken out of held."""
    taken, held[:] = list(held), []
    return [d for d in taken if d.source.host == ALICE.host], [d for d in taken if d.source.host != ALICE.host]


def both(halves: tuple[list[Datagram], list[Datagram]]) -> list[Datagram]:
    return [*halves[0], *halves[1]]


class OwnRekeyNonces(Policy):
    """The nonce of our own request decides; answers have high nonces."""

    def __init__(self, first: int) -> None:
        self.first, self.asking = first, False

    def nonce(self, random: RandomBytes) -> bytes:
        return bytes([self.first if self.asking else 0xFF]) + random(31)


def rekey_both(world: World, verb: Callable[[End], None], winner: str) -> list[Datagram]:
    """Both ends send their rekey request before either has seen the other's; the requests are held."""
    held = world.hold()
    for name, end in (("alice", world.alice), ("bob", world.bob)):
        policy = end.endpoint.policy
        assert isinstance(policy, OwnRekeyNonces)
        policy.first, policy.asking = (0x80 if name == winner else 0x10), True
        verb(end)
        policy.asking = False
    world.collect()
    return held


def deciding_world(esp: str = "aes128gcm16") -> World:
    child = {"proposals": suites(esp)}
    world = World(
        alice=connection(at_alice=True, child=child),
        bob=connection(at_alice=False, child=child),
        policies=(OwnRekeyNonces(0xFF), OwnRekeyNonces(0xFF)),
    )
    world.establish()
    return world


def rekey_child(world: World) -> Callable[[End], None]:
    return lambda end: end.endpoint.rekey_child(end.children()[0], world.now)


def rekey_ike(world: World) -> Callable[[End], None]:
    return lambda end: end.endpoint.rekey_ike(end.ike(), world.now)


@pytest.mark.parametrize("winner", ["alice", "bob"])
@pytest.mark.parametrize("esp", ["aes128gcm16", "aes128gcm16-x25519"])
def test_crossing_child_rekeys_leave_the_winners_sa(winner: str, esp: str) -> None:
    world = deciding_world(esp)
    old = world.alice.children()[0]
    rekey_both(world, rekey_child(world), winner)
    world.release()
    world.agree()
    (survivor,) = getattr(world, winner).installed().values()
    assert survivor.is_initiator
    assert isinstance(survivor, ChildSa)
    assert survivor is not old
    for end in (world.alice, world.bob):
        assert len(end.seen(ChildInstalled)) == 3
        assert end.seen(ExchangeFailed) == []
        last = end.seen(ChildRekeyed)[-1]
        assert last.new.spi_in in end.installed()


@pytest.mark.parametrize("winner", ["alice", "bob"])
@pytest.mark.parametrize("late", ["alice", "bob"])
def test_child_collision_with_a_delayed_response(winner: str, late: str) -> None:
    """The response to the late end's request arrives after everything else, the winner's Delete included."""
    world = deciding_world()
    held = rekey_both(world, rekey_child(world), winner)
    for datagram in both(split(held)):
        world.deliver(datagram)
    to_alice_first = split(held)
    delayed = to_alice_first[1] if late == "alice" else to_alice_first[0]
    prompt = to_alice_first[0] if late == "alice" else to_alice_first[1]
    world.held = None
    for datagram in prompt:
        world.fly(datagram)
    world.settle()
    for datagram in delayed:
        world.fly(datagram)
    world.settle()
    world.run(30)
    world.agree()
    assert len(world.alice.installed()) == 1


@pytest.mark.parametrize("winner", ["alice", "bob"])
@pytest.mark.parametrize("late", ["alice", "bob"])
def test_child_collision_with_a_delayed_request(winner: str, late: str) -> None:
    """The late end's request comes when the other end has rekeyed alone: TEMPORARY_FAILURE or CHILD_SA_NOT_FOUND."""
    world = deciding_world()
    held = rekey_both(world, rekey_child(world), winner)
    of_alice, of_bob = split(held)
    delayed, prompt = (of_alice, of_bob) if late == "alice" else (of_bob, of_alice)
    world.held = None
    for datagram in prompt:
        world.fly(datagram)
    world.settle()
    for datagram in delayed:
        world.fly(datagram)
    world.settle()
    world.run(60)
    world.agree()
    assert len(world.alice.installed()) == 1


def test_request_for_a_child_being_deleted_is_put_off() -> None:
    world = deciding_world()
    held = world.hold()
    world.alice.endpoint.delete_child(world.alice.children()[0], world.now)
    world.bob.endpoint.rekey_child(world.bob.children()[0], world.now)
    world.collect()
    of_alice, of_bob = split(held)
    world.deliver(of_bob[0])
    world.deliver(of_alice[0])
    world.release()
    world.run(60)
    world.agree()
    assert world.alice.installed() == {}


def test_crossing_deletes_of_one_child_are_answered_without_pairs() -> None:
    world = deciding_world()
    held = world.hold()
    for end in (world.alice, world.bob):
        end.endpoint.delete_child(end.children()[0], world.now)
    world.collect()
    requests = both(split(held))
    for datagram in requests:
        world.deliver(datagram)
    responses = [len(d.data) for d in held]
    world.release()
    world.agree()
    assert world.alice.installed() == {}
    assert len(responses) == 2
    # An empty response is as long as a liveness check's; a Delete would make it 12 octets longer.
    assert all(length == len(requests[0].data) - 12 for length in responses)


@pytest.mark.parametrize("winner", ["alice", "bob"])
def test_crossing_ike_rekeys_leave_the_winners_sa(winner: str) -> None:
    world = deciding_world()
    child = world.alice.children()[0]
    rekey_both(world, rekey_ike(world), winner)
    world.release()
    world.agree()
    assert getattr(world, winner).ike().is_initiator
    assert world.alice.children() == [child]
    for end in (world.alice, world.bob):
        assert len(end.seen(IkeEstablished)) == 3
        assert len(end.seen(IkeClosed)) == 2
        assert end.seen(ExchangeFailed) == []
    again = world.bob.endpoint
    again.rekey_child(world.bob.children()[0], world.now)
    world.settle()
    world.agree()


@pytest.mark.parametrize("winner", ["alice", "bob"])
@pytest.mark.parametrize("late", ["alice", "bob"])
@pytest.mark.parametrize("part", ["request", "response"])
def test_ike_collision_with_a_delayed_message(winner: str, late: str, part: str) -> None:
    world = deciding_world()
    held = rekey_both(world, rekey_ike(world), winner)
    if part == "response":
        for datagram in both(split(held)):
            world.deliver(datagram)
    of_alice, of_bob = split(held)
    delayed, prompt = (of_alice, of_bob) if late == "alice" else (of_bob, of_alice)
    world.held = None
    for datagram in prompt:
        world.fly(datagram)
    world.settle()
    for datagram in delayed:
        world.fly(datagram)
    world.settle()
    world.run(60)
    world.agree()
    assert len(world.alice.endpoint.sessions()) == 1
    assert len(world.alice.children()) == 1


def test_winner_of_an_ike_collision_may_rekey_again_before_the_loser_knows() -> None:
    """The Child SAs go to the IKE SA at the end of the line, though the one that won is closed by then."""
    world = deciding_world()
    child = world.alice.children()[0]
    held = rekey_both(world, rekey_ike(world), "bob")
    for datagram in both(split(held)):
        world.deliver(datagram)
    of_alice, late = split(held)
    for datagram in of_alice:
        world.deliver(datagram)
    late += split(held)[1]  # the response that alice waits for, and the Delete of the old IKE SA
    world.held = None
    (won,) = [sa for sa in world.bob.endpoint.sessions() if sa.state is State.ESTABLISHED and sa.is_initiator]
    world.bob.endpoint.rekey_ike(won, world.now)
    world.settle()
    for datagram in reversed(late):
        world.deliver(datagram)
    world.settle()
    world.run(60)
    world.agree()
    assert world.alice.children() == [child]


def test_ike_rekey_during_a_child_exchange_is_put_off_and_then_done() -> None:
    world = deciding_world()
    old = world.alice.ike()
    held = world.hold()
    world.alice.endpoint.create_child(world.alice.ike(), world.alice.connection.children[0], world.now)
    world.bob.endpoint.rekey_ike(world.bob.ike(), world.now)
    world.collect()
    for datagram in both(split(held)):
        world.deliver(datagram)
    world.release()
    world.run(60)
    world.agree()
    assert old.state is State.CLOSED
    assert len(world.alice.installed()) == 2


def test_lost_child_is_taken_away_and_asked_for_anew() -> None:
    world = deciding_world()
    lost = next(iter(world.bob.ike().children.values()))
    world.bob.ike().children.clear()
    world.bob.events = [e for e in world.bob.events if not isinstance(e, ChildInstalled)]
    world.alice.endpoint.rekey_child(world.alice.children()[0], world.now)
    world.settle()
    world.agree()
    assert lost.spi_in not in world.bob.installed()
    assert len(world.alice.installed()) == 1
    (failed,) = world.alice.seen(ExchangeFailed)
    assert failed.notify.notify_type == NotifyType.CHILD_SA_NOT_FOUND


def create_child(world: World) -> Callable[[End], None]:
    return lambda end: end.endpoint.create_child(end.ike(), end.connection.children[0], world.now)


def delete_child(world: World) -> Callable[[End], None]:
    return lambda end: end.endpoint.delete_child(end.children()[0], world.now)


def delete_ike(world: World) -> Callable[[End], None]:
    return lambda end: end.endpoint.delete_ike(end.ike(), world.now)


VERBS = {f.__name__: f for f in (rekey_child, rekey_ike, create_child, delete_child, delete_ike)}
ORDERS = 40


@pytest.mark.parametrize("winner", ["alice", "bob"])
@pytest.mark.parametrize(("ours", "theirs"), list(product(VERBS, VERBS)))
def test_every_crossing_converges_in_every_order(ours: str, theirs: str, winner: str) -> None:
    for seed in range(ORDERS):
        dice = random.Random(seed)
        world = crossing_world(winner)
        held = world.hold()
        VERBS[ours](world)(world.alice)
        VERBS[theirs](world)(world.bob)
        world.collect()
        while held:
            world.deliver(held.pop(dice.randrange(len(held))))
        world.held = None
        world.run(120)
        if not world.closed():
            world.agree()
        assert world.closed() == ("delete_ike" in {ours, theirs}), (seed, ours, theirs)
