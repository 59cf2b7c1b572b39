"""Numbers out of repeated measurements, and the cost of the engine in memory."""

import pytest

from ipsectest.base.errors import UsageError
from ipsectest.ike.config import suites
from ipsectest.lab.topology import Topology, shipped
from ipsectest.runner.measure import METRICS, Bench, Plan, engine
from ipsectest.runner.measure.samples import spread


def test_median_and_95th_percentile() -> None:
    made = {s.labels["quantile"]: s.value for s in spread("handshake_seconds", list(range(101)), ipsec=True)}
    assert made == {"0.5": 50, "0.95": 95}
    assert [s.value for s in spread("handshake_seconds", [7.0], ipsec=True)] == [7.0, 7.0]
    assert not list(spread("handshake_seconds", [], ipsec=True))


@pytest.mark.parametrize("suite", ["aes128gcm16-noesn", "aes256-sha256-esn", "chacha20poly1305-noesn"])
def test_the_engine_is_measured_for_each_number_of_sas(suite: str) -> None:
    made = list(engine.cost(suites(suite)[0], (1, 7), seconds=0.0))
    assert {(s.metric, *s.labels.items()) for s in made} == {
        (metric, (label, count))
        for metric, label in (("seal_seconds", "sas"), ("open_seconds", "sas"), ("bypass_seconds", "policies"))
        for count in ("1", "7")
    }
    assert all(s.value > 0 and s.metric in METRICS for s in made)


@pytest.mark.parametrize(
    ("name", "ip", "said"),
    [
        ("site-to-site", 4, "no IPv4 address of its own"),
        ("hub-and-spoke", 4, "3 endpoints"),
        ("road-warrior", 6, "IPv6"),
    ],
)
def test_a_topology_that_does_not_suit_is_told(name: str, ip: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Bench(Plan(Topology.load(shipped()[name]), ip))
