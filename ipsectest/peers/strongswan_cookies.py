"""Making charon demand cookies from the first IKE_SA_INIT on.

Charon asks for cookies only while enough half-open IKE SAs exist (RFC 7296 section 2.6 leaves the moment open) and has
no switch for "always". One half-open SA of our own, from one loopback address to another, does it for good.
"""

import secrets

from ipsectest.base.iana import IKE_PORT, ExchangeType, HeaderFlag, KeyExchangeMethod, ProtocolId
from ipsectest.base.suites import parse_suite
from ipsectest.peers.host import Host
from ipsectest.peers.strongswan_settings import Section
from ipsectest.wire import KE, SA, Message, Nonce, Proposal, Transform, build_message

_SUITE = "aes128gcm16-prfsha256-x25519"
_RESPONDER = "127.0.0.1"
_INITIATOR = "127.0.0.2"

CONNECTION: Section = {
    "half-open": {
        "version": "2",
        "local_addrs": [_RESPONDER],
        "remote_addrs": [_INITIATOR],
        "proposals": [_SUITE],
        "local": {"auth": "psk"},
        "remote": {"auth": "psk"},
    }
}
"""For load-conn, before `open_half`."""


def open_half(host: Host) -> bool:
    """Send charon an IKE_SA_INIT request that nobody will follow up; True when it was answered."""
    return bool(host.ask(_request(), _INITIATOR, _RESPONDER, IKE_PORT))


def _request() -> bytes:
    transforms = [Transform.of(spec) for spec in parse_suite(_SUITE)]
    payloads = [
        SA([Proposal(1, ProtocolId.IKE, b"", transforms)]),
        KE(KeyExchangeMethod.CURVE25519, secrets.token_bytes(32)),
        Nonce(secrets.token_bytes(32)),
    ]
    spi = secrets.token_bytes(8)
    return build_message(Message(spi, bytes(8), ExchangeType.IKE_SA_INIT, HeaderFlag.INITIATOR, 0, payloads))
