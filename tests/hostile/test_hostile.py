"""The attack of ``python -m tests.hostile``, short."""

import pytest

from tests.hostile.attack import Attack
from tests.hostile.memory import objects, resident

WARM_UP, COUNT = 5000, 5000
HALF_OPEN_LIMIT, LINGER_LIMIT = 256, 256


@pytest.mark.parametrize("guarded", [False, True])
def test_nothing_raises_nothing_grows_and_honest_peers_get_in(guarded: bool) -> None:
    """Once half-open and lingering IKE SAs have reached their limits, further datagrams leave nothing behind."""
    attack = Attack(7, guarded=guarded, tick=0.02)
    attack.run(WARM_UP)
    reached = objects(), resident()
    attack.run(COUNT)
    grown = objects(), resident()
    attack.renew()
    assert grown[0] < reached[0] * 1.1, (reached, grown)
    assert grown[1] < reached[1] + 4, (reached, grown)
    assert attack.tally.most_sas <= HALF_OPEN_LIMIT + LINGER_LIMIT + 4
    assert {"bad-icv", "unknown-spi", "message-id", "too-short", "length-mismatch"} <= set(attack.bob.drops)
    assert attack.tally.kinds.keys() == attack.kinds.keys()


def test_the_same_seed_gives_the_same_attack() -> None:
    """So that what went wrong can be had again."""
    first, second = Attack(3, guarded=False), Attack(3, guarded=False)
    for attack in (first, second):
        attack.run(300)
    assert first.bob.drops == second.bob.drops
    assert first.recorded == second.recorded
