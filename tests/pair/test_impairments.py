"""Every impairment can be switched on, runs without an exception, and its table is sound."""

import random

import pytest

from ipsectest.base.errors import UsageError
from ipsectest.ike.events import IkeEstablished
from ipsectest.ike.impair import IMPAIRMENTS, impaired
from ipsectest.ike.policy import Policy
from ipsectest.ike.states import State
from tests.pair.test_simulation import random_verb
from tests.pair.world import World


@pytest.mark.parametrize("name", sorted(IMPAIRMENTS))
@pytest.mark.parametrize("side", [0, 1])
def test_an_impaired_endpoint_plays_every_verb_without_an_exception(name: str, side: int) -> None:
    faults = ((name,), ()) if side == 0 else ((), (name,))
    world = World(impairments=faults, cookie_threshold=side)
    dice = random.Random(name)
    world.alice.endpoint.initiate(world.alice.connection, world.now)
    for _ in range(40):
        world.run(0.2)
        random_verb(dice.choice([world.alice, world.bob]), dice, world.now)
    world.run(5)


def test_unknown_name_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no-such-fault"):
        impaired(Policy(), ["no-such-fault"])


def test_no_names_leave_the_policy_alone() -> None:
    policy = Policy()
    assert impaired(policy, ()) is policy


def test_several_impairments_add_up() -> None:
    world = World(impairments=(("sends-minor-version", "sends-nonce-of-8"), ("accepts-any-nonce-length",)))
    world.alice.endpoint.initiate(world.alice.connection, world.now)
    world.settle()
    assert {d.data[17] for d in world.sent[0::2]} == {0x21}
    assert world.bob.seen(IkeEstablished)
    assert not world.alice.endpoint.sessions() or world.alice.ike().state is State.ESTABLISHED


def test_table_names_each_impairment_once_with_a_text() -> None:
    for name, impairment in IMPAIRMENTS.items():
        assert impairment.name == name
        assert impairment.text
        assert impairment.skips or impairment.edits or impairment.refuses or impairment.mixin
