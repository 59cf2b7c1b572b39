"""What the endpoints of a topology are told."""

import pytest

from ipsectest.base.addresses import ANY_HOST
from ipsectest.base.suites import parse_suite
from ipsectest.lab.topology import Topology, shipped
from ipsectest.runner.testbed.tunnels import Offer, beyond, tunnels_of
from ipsectest.scenario.ports import Selector

OFFER = Offer(b"secret", parse_suite("aes128gcm16-prfsha256-x25519"), parse_suite("aes128gcm16"))
SIX = Offer(OFFER.secret, OFFER.ike, OFFER.esp, 6)


def topology(name: str) -> Topology:
    return Topology.load(shipped()[name])


def test_a_hub_has_a_tunnel_to_each_spoke() -> None:
    tunnels = tunnels_of(topology("hub-and-spoke"), OFFER)
    assert [tunnel.name for tunnel in tunnels] == ["north-hub", "east-hub", "south-hub"]
    assert tunnels[0].hosts == (("host-north", "198.51.100.2"), ("host-hub", "203.0.113.2"))
    assert beyond(tunnels, "hub")[:2] == ["198.51.100.0/26", "2001:db8:a:1::/64"]
    assert len(beyond(tunnels, "hub")) == 6


def test_both_ends_are_told_the_same_from_their_side() -> None:
    (tunnel,) = tunnels_of(topology("road-warrior"), OFFER)
    client, gateway = (tunnel.settings[node] for node in tunnel.nodes)
    assert (client.local_ts, client.remote_ts) == (gateway.remote_ts, gateway.local_ts)
    assert gateway.local_ts == (Selector("203.0.113.0", "203.0.113.255"),)
    assert (client.local_id, client.remote_id) == (gateway.remote_id, gateway.local_id)
    assert (client.remote.host, gateway.remote.host) == ("192.0.2.2", ANY_HOST)
    assert client.secret == gateway.secret == b"secret"


def test_outer_addresses_are_of_the_version_that_is_asked_for() -> None:
    (tunnel,) = tunnels_of(topology("site-to-site"), SIX)
    assert all(":" in tunnel.settings[node].local.host for node in tunnel.nodes)
    with pytest.raises(LookupError, match="no IPv6 address among"):
        tunnels_of(topology("road-warrior"), SIX)
