"""A whole handshake in memory against the cryptography it cannot do without."""

import os
from typing import Any

from ipsectest.base.addresses import Address
from ipsectest.ike.config import ChildConfig, ConnectionConfig, EndpointConfig, Identity, SharedKey, suites
from ipsectest.ike.endpoint import Endpoint
from ipsectest.ike.events import ChildInstalled
from ipsectest.wire import TrafficSelector
from tests.bench.bench_crypto import cost, handshake_primitives

_ALICE, _BOB = Address("192.0.2.1", 500), Address("192.0.2.2", 500)
_NETS = (TrafficSelector.of("198.51.100.0/24"),), (TrafficSelector.of("203.0.113.0/24"),)
_PSK = SharedKey(b"a secret only for benchmarks")


def _config(here: Address, there: Address, nets: tuple[Any, Any]) -> EndpointConfig:
    child = ChildConfig("net", *nets, proposals=suites("aes128gcm16"))
    connection = ConnectionConfig(
        "bench", here, there, Identity.of(here.host), Identity.of(there.host), _PSK, _PSK, (child,),
        proposals=suites("aes128gcm16-prfsha256-x25519"),
    )  # fmt: skip
    return EndpointConfig((here.host,), (connection,))


_CONFIGS = _config(_ALICE, _BOB, _NETS), _config(_BOB, _ALICE, _NETS[::-1])


def handshake() -> None:
    """Both ends from nothing to an installed Child SA: four datagrams."""
    alice, bob = (Endpoint(config, os.urandom) for config in _CONFIGS)
    alice.initiate(alice.config.connections[0], 0.0)
    for _ in range(2):
        for sender, receiver in ((alice, bob), (bob, alice)):
            for datagram in sender.datagrams_to_send(0.0):
                receiver.receive_datagram(datagram.data, datagram.source, datagram.destination, 0.0)
    for end in (alice, bob):
        events = []
        while (event := end.next_event()) is not None:
            events.append(event)
        if not any(isinstance(event, ChildInstalled) for event in events):
            raise AssertionError(events)


def benchmarks() -> list[dict[str, Any]]:
    """``handshake.x25519-psk`` in milliseconds, and how many times its primitives that is."""
    # Many rounds: Python suffers more from busy neighbours than the library's assembler.
    seconds, primitives = cost(handshake, handshake_primitives, rounds=200)
    return [
        {
            "name": "handshake.x25519-psk",
            "value": round(seconds * 1e3, 3),
            "unit": "ms",
            "ratio": round(seconds / primitives, 2),
            "against": "the sum of its cryptographic primitives",
        }
    ]
