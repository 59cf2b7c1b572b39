"""Packets of data lines on their way through a Child SA."""

from typing import Any

import pytest

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.suites import parse_suite
from ipsectest.ipsec.esp import seal_esp
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.scenario import probes
from ipsectest.scenario.ports import Environment
from ipsectest.scenario.probes import Probe
from ipsectest.scenario.received import Received, Tunnel
from ipsectest.scenario.traffic import Traffic
from ipsectest.wire.fragments import cut
from ipsectest.wire.ip import ESP

HOSTS = {4: ("198.51.100.1", "203.0.113.1"), 6: ("2001:db8:0:100::1", "2001:db8:0:113::1")}
TESTER, PEER = Address("192.0.2.1"), Address("192.0.2.254")


@pytest.mark.parametrize("version", [4, 6])
def test_a_packet_that_the_peer_cut_before_it_protected_it_is_put_together(version: int) -> None:
    (cipher,) = parse_suite("aes128gcm16")
    values: dict[str, Any] = {
        "spi": bytes.fromhex("11223344"),
        "source": PEER.host,
        "destination": TESTER.host,
        "encryption": cipher,
        "encryption_key": bytes(20),
        "replay_window": 0,
    }
    ours, theirs = HOSTS[version]
    traffic = Traffic(Environment(TESTER, PEER, ours, theirs), bytes)
    traffic.tunnels["net"] = Tunnel("net", None, SecurityAssociation(**values), SecurityAssociation(**values))  # type: ignore[arg-type]
    asked = Probe("ping", theirs, ours, number=7, data=bytes(3000))
    peer = SecurityAssociation(**values)
    came: list[Received] = []
    for piece in cut(probes.build(asked), 1400, 99):
        data = seal_esp(peer, piece, 4 if version == 4 else 41, bytes)
        received = traffic.open(Datagram(data, PEER, TESTER, ESP), "ESP")
        assert isinstance(received, Received)
        came.append(received)
    assert [one.probe for one in came] == [None, None, asked]
