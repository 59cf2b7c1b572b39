"""Numbers out of repeated measurements, and the cost of the engine in memory."""

import re

import pytest

from ipsectest.base.errors import LabError, UsageError
from ipsectest.ike.config import suites
from ipsectest.lab.topology import Topology, shipped
from ipsectest.runner.measure import METRICS, Bench, Plan, charon, engine, population
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
        for metric, label in (
            ("first_seal_seconds", "sas"),
            ("seal_seconds", "sas"),
            ("open_seconds", "sas"),
            ("bypass_seconds", "policies"),
        )
        for count in ("1", "7")
    }
    assert all(s.value > 0 and s.metric in METRICS for s in made)


@pytest.mark.parametrize(
    ("name", "ip", "said"),
    [("road-warrior", 6, "IPv6")],
)
def test_a_topology_that_does_not_suit_is_told(name: str, ip: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Bench(Plan(Topology.load(shipped()[name]), ip))


def test_the_first_packet_of_a_flow_pays_for_the_number_of_sas() -> None:
    made = {(s.metric, s.labels.get("sas")): s.value for s in engine.cost(suites("aes128gcm16-noesn")[0], (1, 2000))}
    assert made["first_seal_seconds", "2000"] > 5 * made["seal_seconds", "2000"]
    assert made["first_seal_seconds", "2000"] > 5 * made["first_seal_seconds", "1"]
    assert made["seal_seconds", "2000"] < 5 * made["seal_seconds", "1"]


_LOG = """23:59:59.700 09[IKE] <one|1> initiating IKE_SA one[1] to 192.0.2.2
23:59:59.800 09[ENC] <one|1> generating IKE_SA_INIT request 0
00:00:00.100 10[IKE] <one|1> CHILD_SA one{1} established with SPIs c1_i c2_o and TS 10.1.0.0/16 === 10.2.0.0/16
"""


def test_a_handshake_is_timed_by_charons_log() -> None:
    assert charon.between(_LOG) == pytest.approx(0.4)
    for text in ("", _LOG.splitlines()[0], "initiating IKE_SA", _LOG.replace("23:59:59.700", "yesterday")):
        with pytest.raises(LabError, match="does not tell"):
            charon.between(text)


@pytest.mark.parametrize(
    ("suite", "words"),
    [
        ("aes128gcm16-noesn", r"aead rfc4106\(gcm\(aes\)\) 0x[0-9a-f]{40} 128"),
        ("aes256-sha256-noesn", r"enc cbc\(aes\) 0x[0-9a-f]{64} auth-trunc hmac\(sha256\) 0x[0-9a-f]{64} 128"),
    ],
)
def test_a_proposal_in_the_words_of_ip_xfrm(suite: str, words: str) -> None:
    assert re.fullmatch(words, population.transforms(suites(suite)[0]))


def test_a_proposal_that_linux_has_not_is_told() -> None:
    with pytest.raises(UsageError, match="Linux has no"):
        population.transforms(suites("1/30/128-noesn")[0])
