"""The packets inside of data lines, and what hosts answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.scenario import probes
from ipsectest.scenario.probes import Probe
from ipsectest.wire.ip import parse_ip

HOSTS = {4: ("198.51.100.1", "203.0.113.1"), 6: ("2001:db8:0:100::1", "2001:db8:0:113::1")}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("kind", "answer"), [("ping", "pong"), ("syn", "reset")])
def test_a_host_answers_with_the_traffic_class_it_saw(version: int, kind: str, answer: str) -> None:
    ports = (40000, 80) if kind == "syn" else (0, 0)
    asked = Probe(kind, *HOSTS[version], *ports, 7, b"data")
    seen = probes.recognise(probes.build(asked, traffic_class=0xB9))
    assert seen == asked
    said = probes.answer_to(seen)
    reply = probes.recognise(said) if said else None
    assert reply is not None
    assert (reply.kind, reply.ip.traffic_class if reply.ip else 0) == (answer, 0xB9)
    assert reply.answers(asked)
    assert not reply.answers(Probe(kind, *HOSTS[version], *ports, 8, b"data"))


@pytest.mark.parametrize("version", [4, 6])
def test_too_big_names_the_mtu_and_goes_to_the_sender(version: int) -> None:
    large = probes.build(Probe("ping", *HOSTS[version], data=bytes(1400)))
    error = probes.recognise(probes.too_big(large, HOSTS[version][1], 1280) or b"")
    assert error is not None
    assert (error.kind, error.mtu, error.destination, error.is_error) == ("too-big", 1280, HOSTS[version][0], True)


@pytest.mark.parametrize("version", [4, 6])
def test_a_too_big_that_is_sent_is_about_a_datagram_of_who_gets_it(version: int) -> None:
    packet = probes.build(Probe("too-big", *HOSTS[version], 53, 5353, mtu=1300), hop_limit=9)
    ip = parse_ip(packet)
    error = probes.recognise(packet)
    assert ip
    assert error
    assert (error.mtu, ip.hop_limit) == (1300, 9)
    assert (error.source, error.destination) == HOSTS[version]
    quoted = parse_ip(ip.payload[8:] + bytes(40))
    assert quoted
    assert (quoted.source, quoted.destination) == (ip.destination, ip.source)


def test_udp_is_recognised_and_not_answered() -> None:
    asked = Probe("udp", *HOSTS[4], 53, 5353, data=b"x")
    assert probes.recognise(probes.build(asked)) == asked
    assert probes.answer_to(asked) is None


@given(st.binary(max_size=200))
def test_no_octets_raise(octets: bytes) -> None:
    found = probes.recognise(octets)
    assert found is None or parse_ip(octets) is not None
