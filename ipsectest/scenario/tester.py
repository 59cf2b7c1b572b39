"""What a correct endpoint in the tester's place is told: the engine's configuration for one case."""

import ipaddress

from ipsectest.base.errors import UnsupportedError
from ipsectest.base.iana import IdentificationType
from ipsectest.crypto.certificates import name_der
from ipsectest.ike.config import (
    ChildConfig,
    ConnectionConfig,
    EndpointConfig,
    Identity,
    KeyPair,
    Mode,
    SharedKey,
    TrustAnchors,
)
from ipsectest.scenario import ports
from ipsectest.scenario.facts import Ends
from ipsectest.scenario.ports import Authentication, Environment

ID_TYPES = {
    "fqdn": IdentificationType.ID_FQDN,
    "email": IdentificationType.ID_RFC822_ADDR,
    "ipv4": IdentificationType.ID_IPV4_ADDR,
    "ipv6": IdentificationType.ID_IPV6_ADDR,
    "dn": IdentificationType.ID_DER_ASN1_DN,
    "keyid": IdentificationType.ID_KEY_ID,
}


def identity(kind: str, value: str) -> Identity:
    """An ID payload's value from the words of a fact or of IDi(...). ValueError for no address, or no name."""
    if kind in {"ipv4", "ipv6"}:
        data = ipaddress.ip_address(value).packed
    elif kind == "keyid":
        data = bytes.fromhex(value)
    elif kind == "dn":
        data = name_der(value)
    else:
        data = value.encode()
    return Identity(int(ID_TYPES[kind]), data)


def identity_of(given: ports.Identity) -> Identity:
    """The same for an identity of the ports."""
    return identity(given.kind, given.value)


def endpoint_config(ends: Ends, place: Environment) -> EndpointConfig:
    """The tester as an endpoint with one connection; UnsupportedError if the runner has no certificates."""
    settings = ends.peer
    child = ChildConfig(settings.child, ends.ts, ends.ts_peer, ends.esp, Mode(ends.mode), settings.protocol)
    connection = ConnectionConfig(
        settings.name,
        place.tester,
        place.peer,
        identity_of(ends.identity),
        None,
        _own(ends, place),
        _peers(ends, place),
        (child,),
        ends.ike,
    )
    hosts = (place.tester.host, *((place.elsewhere,) if place.elsewhere else ()))
    return EndpointConfig(hosts, (connection,))


def _own(ends: Ends, place: Environment) -> SharedKey | KeyPair:
    if ends.auth is Authentication.PSK:
        return SharedKey(ends.secret)
    pair = place.pki.mine.get(ends.auth) if place.pki else None
    if pair is None:
        raise UnsupportedError(f"{ends.auth} authentication", "there is no such certificate for the tester")
    return pair


def _peers(ends: Ends, place: Environment) -> SharedKey | TrustAnchors:
    if ends.peer.local_auth is Authentication.PSK:
        return SharedKey(ends.peer_secret)
    if place.pki is None or ends.peer.local_auth is Authentication.NULL:
        raise UnsupportedError(f"{ends.peer.local_auth} authentication", "the tester cannot check it")
    return TrustAnchors(place.pki.anchors, place.pki.at)
