"""Peer settings of a case, for tests."""

from dataclasses import replace
from typing import Any

from ipsectest.base.addresses import Address
from ipsectest.base.suites import parse_suite
from ipsectest.scenario.ports import Authentication, Identity, PeerSettings, Selector


def settings(slot: int = 1, **changes: Any) -> PeerSettings:
    made = PeerSettings(
        name=f"case-{slot}",
        local=Address("192.0.2.254", 500),
        remote=Address(f"192.0.2.{slot}", 500),
        local_id=Identity("fqdn", "peer.example"),
        remote_id=Identity("fqdn", f"tester{slot}.example"),
        local_auth=Authentication.PSK,
        remote_auth=Authentication.PSK,
        secret=b"a secret of no worth",
        ike=(parse_suite("aes128gcm16-prfsha256-x25519"),),
        esp=(parse_suite("aes128gcm16"),),
        local_ts=(Selector(f"203.0.113.{slot}", f"203.0.113.{slot}"),),
        remote_ts=(Selector(f"198.51.100.{slot}", f"198.51.100.{slot}"),),
        inner_local=f"203.0.113.{slot}",
        inner_remote=f"198.51.100.{slot}",
    )
    return replace(made, **changes)


def mirrored(given: PeerSettings) -> PeerSettings:
    """The same connection seen from the other end."""
    return replace(
        given,
        local=given.remote,
        remote=given.local,
        local_id=given.remote_id,
        remote_id=given.local_id,
        local_auth=given.remote_auth,
        remote_auth=given.local_auth,
        local_ts=given.remote_ts,
        remote_ts=given.local_ts,
        inner_local=given.inner_remote,
        inner_remote=given.inner_local,
    )
