"""Two endpoints on a good network: every verb, both roles."""

import itertools

import pytest

from ipsectest.base.addresses import Address, Datagram
from ipsectest.ike.config import suites
from ipsectest.ike.events import ChildInstalled, ExchangeDone, ExchangeFailed, IkeClosed, IkeEstablished
from ipsectest.ike.states import State
from tests.pair.world import ALICE, BOB, World, connection


def test_handshake_installs_one_child_at_both_ends() -> None:
    world = World()
    world.establish()
    world.agree()
    assert len(world.sent) == 4
    assert len(world.alice.seen(ChildInstalled)) == 1
    assert world.drops() == []


@pytest.mark.parametrize("starter", ["alice", "bob"])
@pytest.mark.parametrize("esp", ["aes128gcm16", "aes128gcm16-x25519"])
def test_every_verb_works_from_both_ends(starter: str, esp: str) -> None:
    child = {"proposals": suites(esp)}
    world = World(alice=connection(at_alice=True, child=child), bob=connection(at_alice=False, child=child))
    world.establish()
    end = getattr(world, starter)
    end.endpoint.create_child(end.ike(), end.connection.children[0], world.now)
    world.settle()
    world.agree()
    assert len(world.alice.installed()) == 2
    for _ in range(3):
        end.endpoint.rekey_child(end.children()[0], world.now)
        world.settle()
        world.agree()
        end.endpoint.rekey_ike(end.ike(), world.now)
        world.settle()
        world.agree()
    assert len(world.alice.installed()) == 2
    end.endpoint.liveness(end.ike(), world.now)
    end.endpoint.delete_child(end.children()[0], world.now)
    world.settle()
    world.agree()
    assert len(world.alice.installed()) == 1
    end.endpoint.delete_ike(end.ike(), world.now)
    world.settle()
    assert world.closed()
    assert not world.alice.installed()
    assert world.alice.seen(ExchangeFailed) == world.bob.seen(ExchangeFailed) == []


def test_wrong_group_costs_one_round() -> None:
    world = World(
        alice=connection(at_alice=True, proposals=suites("aes128gcm16-prfsha256-modp3072-x25519")),
        bob=connection(at_alice=False, proposals=suites("aes128gcm16-prfsha256-x25519")),
    )
    world.establish()
    assert len(world.sent) == 6
    world.agree()


def test_cookie_is_echoed_and_leaves_no_state() -> None:
    world = World(cookie_threshold=0)
    held = world.hold()
    world.alice.endpoint.initiate(world.alice.connection, world.now)
    world.collect()
    world.deliver(held.pop())
    assert world.bob.endpoint.sessions() == []
    world.release()
    assert len(world.sent) == 6
    world.agree()


def test_cookie_and_wrong_group_together() -> None:
    world = World(
        alice=connection(at_alice=True, proposals=suites("aes128gcm16-prfsha256-modp3072-x25519")),
        bob=connection(at_alice=False, proposals=suites("aes128gcm16-prfsha256-x25519")),
        cookie_threshold=0,
    )
    world.establish()
    world.agree()


def test_no_common_suite_ends_with_a_reason_after_all_retransmissions() -> None:
    world = World(
        bob=connection(at_alice=False, proposals=suites("aes128gcm16-prfsha256-modp2048")),
        alice=connection(at_alice=True, proposals=suites("aes128gcm16-prfsha256-x25519")),
    )
    world.alice.endpoint.initiate(world.alice.connection, world.now)
    world.run(1000)
    (closed,) = world.alice.seen(IkeClosed)
    assert "NO_PROPOSAL_CHOSEN" in closed.reason


def test_starting_on_port_4500_works() -> None:
    world = World(
        alice=connection(at_alice=True, local=Address(ALICE.host, 4500), remote=Address(BOB.host, 4500)),
    )
    world.establish()
    assert all(d.data[:4] == bytes(4) for d in world.sent)
    world.agree()


def test_nat_moves_to_port_4500_and_encapsulates() -> None:
    world = World(bob=connection(at_alice=False, remote=Address("%any")))
    outside = Address("192.0.2.99", 40000)
    inside = {}

    def translate(datagram: Datagram) -> Datagram:
        if datagram.source.host == ALICE.host:
            port = outside.port + datagram.source.port
            inside[port] = datagram.source
            return Datagram(datagram.data, Address(outside.host, port), datagram.destination)
        return Datagram(datagram.data, datagram.source, inside[datagram.destination.port])

    original = world.fly
    world.fly = lambda datagram, delay=0.0: original(translate(datagram), delay)
    world.establish()
    alice, bob = world.alice.seen(ChildInstalled)[0], world.bob.seen(ChildInstalled)[0]
    assert alice.udp_ports == (4500, 4500)
    assert bob.udp_ports == (4500, 44500)
    assert bob.remote == Address(outside.host, 44500)
    assert world.alice.ike().local_behind_nat
    assert not world.alice.ike().remote_behind_nat
    assert world.bob.ike().remote_behind_nat
    assert not world.bob.ike().local_behind_nat


def test_silent_peer_is_given_up_with_growing_waits() -> None:
    world = World()
    world.route = lambda _: []
    world.alice.endpoint.initiate(world.alice.connection, world.now)
    times = []
    while not world.alice.seen(IkeClosed):
        before = len(world.sent)
        world.step(10_000)
        times += [world.now] * (len(world.sent) - before)
    waits = [b - a for a, b in itertools.pairwise(times)]
    assert len(times) == 6
    assert all(b > a for a, b in itertools.pairwise(waits))
    assert len({d.data for d in world.sent}) == 1
    assert world.alice.endpoint.sessions() == []


def test_repeated_request_gets_the_same_response() -> None:
    world = World()
    world.establish()
    requests, responses = world.sent[0::2], world.sent[1::2]
    world.deliver(requests[1])
    assert world.sent[-1] == responses[1]
    world.deliver(requests[0])
    assert len(world.sent) == 5
    assert world.drops() == ["stale-ike-sa-init"]


def test_repeated_init_before_auth_gets_the_same_response() -> None:
    world = World()
    held = world.hold()
    world.alice.endpoint.initiate(world.alice.connection, world.now)
    world.collect()
    request = held.pop()
    for _ in range(3):
        world.deliver(request)
    assert len({d.data for d in held}) == 1
    assert len(world.bob.endpoint.sessions()) == 1


def test_half_open_responder_forgets_after_its_time() -> None:
    world = World()
    world.alice.endpoint.initiate(world.alice.connection, world.now)
    world.route = lambda d: [0.01] if d.source.host == ALICE.host and d == world.sent[0] else []
    world.run(1000)
    assert world.closed()
    assert len(world.bob.endpoint.half_open) == 0


def test_initial_contact_closes_what_the_peer_forgot() -> None:
    world = World()
    world.establish()
    from ipsectest.ike.endpoint import Endpoint

    world.alice.endpoint = Endpoint(world.alice.endpoint.config, world.alice.endpoint.random)
    world.alice.events.clear()
    world.establish()
    (closed,) = world.bob.seen(IkeClosed)
    assert closed.reason == "INITIAL_CONTACT"
    world.agree()


def test_window_lets_several_requests_out_at_once() -> None:
    world = World(window=4)
    world.establish()
    assert world.alice.ike().peer_window == 4
    held = world.hold()
    for _ in range(6):
        world.alice.endpoint.create_child(world.alice.ike(), world.alice.connection.children[0], world.now)
    world.collect()
    assert len(held) == 4
    held.reverse()
    world.release()
    world.agree()
    assert len(world.bob.installed()) == 7


def test_state_after_everything_is_closed_can_be_left() -> None:
    world = World()
    world.establish()
    world.alice.endpoint.delete_ike(world.alice.ike(), world.now)
    world.run(1000)
    for end in world.ends.values():
        assert end.endpoint.get_timer() is None
        assert end.endpoint._sessions == {}
    assert world.alice.seen(IkeEstablished)[0].sa.state is State.CLOSED


def test_done_is_told_for_each_verb() -> None:
    world = World()
    world.establish()
    world.bob.endpoint.liveness(world.bob.ike(), world.now)
    world.settle()
    assert [type(e.task).__name__ for e in world.bob.seen(ExchangeDone)] == ["Liveness"]
