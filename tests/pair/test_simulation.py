"""Random verbs from both ends over a network that loses, repeats and reorders: they converge or close with a reason."""

import os
import random
from collections.abc import Callable

import pytest

from ipsectest.base.addresses import Datagram
from ipsectest.ike.config import Retransmission, suites
from ipsectest.ike.states import State
from tests.pair.world import End, World, connection

SEEDS = int(os.environ.get("IPSECTEST_SEEDS", "100"))
LOSS, REPETITION = 0.2, 0.1


def bad_network(dice: random.Random) -> Callable[[Datagram], list[float]]:
    def route(datagram: Datagram) -> list[float]:
        copies = 0 if dice.random() < LOSS else 2 if dice.random() < REPETITION else 1
        return [dice.uniform(0.005, 0.6) for _ in range(copies)]

    return route


def random_verb(end: End, dice: random.Random, now: float) -> None:
    established = [sa for sa in end.endpoint.sessions() if sa.state is State.ESTABLISHED]
    if not established:
        return
    sa = dice.choice(established)
    children = list(sa.children.values())
    choice = dice.choice(
        ["rekey_ike", "rekey_child", "rekey_child", "create", "delete_child", "liveness", "delete_ike"]
    )
    if choice == "rekey_ike":
        end.endpoint.rekey_ike(sa, now)
    elif choice == "create" and len(children) < 6:
        end.endpoint.create_child(sa, end.connection.children[0], now)
    elif choice == "liveness":
        end.endpoint.liveness(sa, now)
    elif choice == "delete_ike" and dice.random() < 0.05:
        end.endpoint.delete_ike(sa, now)
    elif children and choice == "rekey_child":
        end.endpoint.rekey_child(dice.choice(children), now)
    elif children and choice == "delete_child":
        end.endpoint.delete_child(dice.choice(children), now)


def simulate(seed: int) -> World:
    dice = random.Random(seed)
    child = {"proposals": suites("aes128gcm16-x25519" if seed % 3 == 0 else "aes128gcm16")}
    world = World(
        seed,
        alice=connection(at_alice=True, child=child),
        bob=connection(at_alice=False, child=child),
        window=1 + seed % 4,
        retransmission=Retransmission(initial=0.8, base=1.4, tries=12),
    )
    world.route = bad_network(dice)
    world.alice.endpoint.initiate(world.alice.connection, world.now)
    for _ in range(60):
        world.run(dice.uniform(0.0, 2.0))
        random_verb(dice.choice([world.alice, world.bob]), dice, world.now)
    world.run(2000)
    # Who was given up by the other end learns it from a liveness check.
    for end in (world.alice, world.bob):
        for sa in end.endpoint.sessions():
            if sa.state is State.ESTABLISHED:
                end.endpoint.liveness(sa, world.now)
    world.run(5000)
    return world


@pytest.mark.parametrize("seed", range(SEEDS))
def test_converges_or_closes_with_a_reason(seed: int) -> None:
    world = simulate(seed)
    if not world.closed():
        world.agree()
    for end in (world.alice, world.bob):
        assert end.endpoint.get_timer() is None
