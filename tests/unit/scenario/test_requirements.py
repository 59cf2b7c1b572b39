import pytest

from ipsectest.scenario.requirements import load
from ipsectest.scenario.results import Level


@pytest.mark.parametrize(
    ("row", "highest"),
    [
        ("7296-2.1-02", Level.MUST),
        ("7296-1.4.1-08", Level.MUST),  # MUST NOT
        ("7296-2.25-06", Level.SHOULD),
        ("6989-2.3-01", Level.SHOULD),  # RECOMMENDED: REQUIRED only of those who reuse private keys
        ("7296-2.12-02", Level.MAY),
        ("7296-3.14-10", Level.MAY),  # implied: lower-case prose convicts nobody
    ],
)
def test_no_tag_is_stronger_than_the_sentence_it_cites(row: str, highest: Level) -> None:
    requirement = load()[row]
    levels = (Level.INFO, Level.MAY, Level.SHOULD, Level.MUST)
    assert requirement.highest_tag is highest
    assert [level for level in levels if requirement.allows(level)] == list(levels[: levels.index(highest) + 1])
