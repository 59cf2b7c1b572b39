"""PeerSettings as the configuration of our own endpoint; what it cannot do is UnsupportedError."""

from ipaddress import ip_address

from ipsectest.base.errors import UnsupportedError
from ipsectest.base.iana import TrafficSelectorType
from ipsectest.ike.config import (
    ChildConfig,
    ConnectionConfig,
    EndpointConfig,
    KeyPair,
    Mode,
    Retransmission,
    SharedKey,
    TrustAnchors,
)
from ipsectest.scenario.ports import Authentication, Certificates, PeerSettings, Selector
from ipsectest.scenario.tester import identity_of
from ipsectest.wire import TrafficSelector

_DEFAULTS = {
    "force_encapsulation": False,
    "mobike": False,
    "fragmentation": False,
    "send_certificate": True,
    "unique": "never",
    "hashes": (),
}
_NEVER = 1 << 30


def endpoint_config(settings: PeerSettings, certificates: Certificates | None) -> EndpointConfig:
    """One node with the one connection of the case."""
    for name, default in _DEFAULTS.items():
        if getattr(settings, name) != default:
            raise UnsupportedError(f"peer.{name}", "the built-in endpoint has no such choice")
    if settings.childless == "force":
        raise UnsupportedError("peer.childless", "the built-in endpoint does not start childless")
    child = ChildConfig(
        settings.child,
        tuple(_selector(s) for s in settings.local_ts),
        tuple(_selector(s) for s in settings.remote_ts),
        settings.esp,
        Mode(settings.mode),
    )
    connection = ConnectionConfig(
        settings.name,
        settings.local,
        settings.remote,
        identity_of(settings.local_id),
        identity_of(settings.remote_id),
        _own(settings, certificates),
        _remote(settings, certificates),
        (child,),
        settings.ike,
    )
    thresholds = {None: {}, True: {"cookie_threshold": 0}, False: {"cookie_threshold": _NEVER}}
    return EndpointConfig(
        (settings.local.host,),
        (connection,),
        Retransmission(settings.retransmit, tries=settings.retransmit_tries + 1),
        settings.window,
        liveness_interval=settings.dpd or None,
        **thresholds[settings.cookies],
    )


def _selector(selector: Selector) -> TrafficSelector:
    start, end = ip_address(selector.start), ip_address(selector.end)
    kind = TrafficSelectorType.TS_IPV4_ADDR_RANGE if start.version == 4 else TrafficSelectorType.TS_IPV6_ADDR_RANGE
    ports = selector.start_port, selector.end_port
    return TrafficSelector(kind, selector.protocol, *ports, start.packed, end.packed)


def _own(settings: PeerSettings, certificates: Certificates | None) -> SharedKey | KeyPair:
    if settings.local_auth is Authentication.PSK:
        return SharedKey(settings.secret)
    pair = certificates.mine.get(settings.local_auth) if certificates else None
    if pair is None:
        raise UnsupportedError(f"{settings.local_auth} authentication", "there is no such certificate for the peer")
    return pair


def _remote(settings: PeerSettings, certificates: Certificates | None) -> SharedKey | TrustAnchors:
    if settings.remote_auth is Authentication.PSK:
        return SharedKey(settings.secret)
    if certificates is None or settings.remote_auth is Authentication.NULL:
        raise UnsupportedError(f"{settings.remote_auth} authentication", "the built-in endpoint cannot check it")
    return TrustAnchors(certificates.anchors, certificates.at)
