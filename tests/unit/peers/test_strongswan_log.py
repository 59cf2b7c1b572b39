"""Charon's log told apart by case."""

from ipsectest.peers.strongswan_log import count_replays, lines_of_case

LOG = """\
02:07:05.100 00[LIB] created TUN device: ipsec0
02:07:05.110 05[NET] <1> received packet: from 192.0.2.1[500] to 192.0.2.254[500] (268 bytes)
02:07:05.111 05[IKE] <1> 192.0.2.1 is initiating an IKE_SA
02:07:05.112 06[NET] <2> received packet: from 192.0.2.11[500] to 192.0.2.254[500] (268 bytes)
02:07:05.113 06[IKE] <2> 192.0.2.11 is initiating an IKE_SA
02:07:05.122 28[CFG] <case-1|1> selected peer config 'case-1'
02:07:05.123 29[CFG] <case-11|2> selected peer config 'case-11'
02:07:05.124 28[ENC] <case-1|1> generating IKE_AUTH response 1 [ N(AUTH_FAILED) ]
02:07:05.125 11[CFG] loaded IKE shared key with id 'case-1' for: 'x'
"""


def test_a_case_gets_its_lines_and_those_from_before_it_had_a_name() -> None:
    assert lines_of_case(LOG, "case-1", "192.0.2.1").splitlines() == [LOG.splitlines()[n] for n in (1, 2, 5, 7)]
    assert lines_of_case(LOG, "case-11", "192.0.2.11").splitlines() == [LOG.splitlines()[n] for n in (3, 4, 6)]
    assert lines_of_case(LOG, "case-2", "192.0.2.2") == ""


def test_ipv6_addresses_are_whole_words() -> None:
    line = "02:07:05.110 05[NET] received packet: from 2001:db8:0:2::1[500] to 2001:db8:0:2::fe[500]\n"
    assert lines_of_case(line, "x", "2001:db8:0:2::1") == line
    assert lines_of_case(line, "x", "2001:db8:0:2::") == ""
    assert lines_of_case(line, "x", "2001:db8:0:2::11") == ""


def test_replays_are_counted_by_spi() -> None:
    drop = (
        "02:07:05.1 07[ESP] ESP sequence number verification failed:\n"
        "02:07:05.1 07[ESP]   src 192.0.2.1, dst 192.0.2.254, SPI {} [seq 7]\n"
    )
    log = drop.format("c0ffee01") + LOG + drop.format("c0ffee02") + drop.format("c0ffee01")
    assert count_replays(log, {"c0ffee01"}) == 2
    assert count_replays(log, {"c0ffee02"}) == 1
    assert count_replays(log, {"c0ffee03"}) == 0
    assert count_replays(log, set()) == 0
