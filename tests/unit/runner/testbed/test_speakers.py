"""What the ends of a topology are told where some speak like a vendor's gateway or client."""

import pytest

from ipsectest.base.errors import UsageError
from ipsectest.base.suites import format_suite, parse_suite
from ipsectest.lab.topology import Topology, shipped
from ipsectest.peers.names import PeerName
from ipsectest.runner.testbed.speakers import Speakers, carries
from ipsectest.runner.testbed.tunnels import Offer, Tunnel, beyond, tunnels_of
from ipsectest.scenario import profile_files
from ipsectest.scenario.ports import Authentication, Selector

OFFER = Offer(b"secret", parse_suite("aes128gcm16-prfsha256-x25519"), parse_suite("aes128gcm16"))
OURS = PeerName("builtin")


def tunnels(name: str, auth: Authentication = Authentication.PSK) -> list[Tunnel]:
    return tunnels_of(Topology.load(shipped()[name]), Offer(OFFER.secret, OFFER.ike, OFFER.esp, auth=auth))


def test_a_client_offers_everything_and_the_gateway_is_told_the_strongest_of_it() -> None:
    speakers = Speakers({"client": PeerName("builtin", "windows"), "gateway": OURS})
    auth = speakers.authentication()
    assert auth is Authentication.RSA
    (before,) = tunnels("road-warrior", auth)
    tunnel = speakers.told(before, ike=False, esp=False)
    client, gateway = (tunnel.settings[node] for node in tunnel.nodes)
    assert client.ike == profile_files.named("windows").ike.proposals
    assert [format_suite(suite) for suite in (*gateway.ike, *gateway.esp)] == [
        "aes256-sha384-prfsha384-modp1024",
        "aes256-sha1-noesn",
    ]
    assert (client.local_ts[0], gateway.pool) == (Selector.of("0.0.0.0/0"), "198.51.100.1")
    assert beyond([tunnel], "client") == beyond([before], "client") == ["203.0.113.0/24"]


def test_pings_are_of_what_the_profile_carries() -> None:
    speakers = Speakers({"west": OURS, "east": PeerName("builtin", "gcp")})
    (before,) = tunnels("site-to-site")
    tunnel = speakers.told(before, ike=False, esp=False)
    assert len(before.ways) == 2
    assert [way[0][1] for way in tunnel.ways] == ["198.51.100.2"]
    assert (tunnel.settings["east"].ike_lifetime, tunnel.settings["east"].child_lifetime) == (36000, 10800)
    assert carries(profile_files.named("gcp"), "transport", "2001:db8::1")
    assert carries(profile_files.named("cisco-asa"), "tunnel", "2001:db8::1")


def test_suites_of_the_command_line_are_those_of_the_other_end() -> None:
    speakers = Speakers({"client": OURS, "gateway": PeerName("builtin", "aws")})
    (before,) = tunnels("road-warrior")
    tunnel = speakers.told(before, ike=True, esp=True)
    assert (tunnel.settings["client"].ike, tunnel.settings["client"].esp) == ((OFFER.ike,), (OFFER.esp,))
    tunnel = speakers.told(before, ike=False, esp=True)
    assert tunnel.settings["client"].esp == (OFFER.esp,)
    assert tunnel.settings["client"].ike != (OFFER.ike,)


def test_an_end_that_can_do_nothing_of_a_profile_is_told() -> None:
    speakers = Speakers({"client": PeerName("libreswan", "host"), "gateway": PeerName("builtin", "azure")})
    (before,) = tunnels("road-warrior")
    with pytest.raises(UsageError, match="libreswan@host at client can do no suite of Azure"):
        speakers.told(before, ike=False, esp=False)


def test_without_a_profile_nothing_changes() -> None:
    speakers = Speakers({"client": OURS, "gateway": PeerName("strongswan", "trixie")})
    assert speakers.authentication() is Authentication.PSK
    (before,) = tunnels("road-warrior")
    assert speakers.told(before, ike=False, esp=False) == before
