"""Peer settings as the configuration of our own endpoint, and what it cannot do."""

from dataclasses import replace
from ipaddress import ip_address

from ipsectest.base.errors import UnsupportedError
from ipsectest.base.iana import ExchangeType, NotifyType
from ipsectest.ike.config import (
    ChildConfig,
    Childless,
    ConnectionConfig,
    EndpointConfig,
    KeyPair,
    Mode,
    Retransmission,
    SharedKey,
    TrustAnchors,
)
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import IkeSa
from ipsectest.ipsec.spd import Flow
from ipsectest.scenario.ports import Authentication, Certificates, PeerSettings, Selector
from ipsectest.scenario.tester import identity_of
from ipsectest.wire import Message, TrafficSelector

_ALWAYS, _NEVER = 0, 1 << 30


def endpoint_config(settings: PeerSettings, certificates: Certificates | None) -> EndpointConfig:
    """An endpoint with the one connection of a case; UnsupportedError names what our endpoint lacks."""
    _refuse(settings)
    config = EndpointConfig(
        addresses=(settings.local.host,),
        connections=(connection(settings, certificates),),
        retransmission=Retransmission(settings.retransmit, 1.8, settings.retransmit_tries + 1),
        window=settings.window,
        liveness_interval=settings.dpd or None,
    )
    if settings.cookies is None:
        return config
    return replace(config, cookie_threshold=_ALWAYS if settings.cookies else _NEVER)


def connection(settings: PeerSettings, certificates: Certificates | None) -> ConnectionConfig:
    """The peer's side of a case."""
    return ConnectionConfig(
        name=settings.name,
        local=settings.local,
        remote=settings.remote,
        local_identity=identity_of(settings.local_id),
        remote_identity=identity_of(settings.remote_id),
        local_auth=_own(settings, certificates),
        remote_auth=_testers(settings, certificates),
        children=(child(settings), *further(settings)),
        proposals=settings.ike,
        childless=Childless(settings.childless),
    )


def child(settings: PeerSettings) -> ChildConfig:
    """The Child SA of a case."""
    return ChildConfig(
        settings.child,
        tuple(_on_wire(selector) for selector in settings.local_ts),
        tuple(_on_wire(selector) for selector in settings.remote_ts),
        settings.esp,
        Mode(settings.mode),
        settings.protocol,
    )


def further(settings: PeerSettings) -> tuple[ChildConfig, ...]:
    """The Child SAs that the policy names beside it."""
    own = child(settings)
    return tuple(
        replace(own, name=entry.child, local_ts=(_on_wire(entry.local),), remote_ts=(_on_wire(entry.remote),))
        for entry in settings.spd
        if entry.action == "protect" and entry.local and entry.remote
    )


def triggered(own: ChildConfig, flow: Flow) -> ChildConfig:
    """A Child SA as traffic asks for it."""
    ends = (flow.local, flow.local_port), (flow.remote, flow.remote_port)
    return own.wanted_by(*(_specific(address, flow.protocol, port) for address, port in ends))


def _specific(address: bytes, protocol: int, port: int | None) -> TrafficSelector:
    return TrafficSelector.of(str(ip_address(address)), protocol, (0, 0xFFFF) if port is None else (port, port))


class Encapsulating(Policy):
    """Behaves as behind a NAT, so that ESP is put into UDP always (RFC 7296 section 2.23)."""

    def outgoing(self, sa: IkeSa | None, message: Message) -> Message | None:
        """The hash of a source address that is not ours."""
        changed = super().outgoing(sa, message)
        if changed and changed.exchange_type == ExchangeType.IKE_SA_INIT:
            source = changed.notify(NotifyType.NAT_DETECTION_SOURCE_IP)
            if source:
                source.data = bytes(len(source.data))
        return changed

    def moves_to_nat_port(self, sa: IkeSa) -> bool:
        """Always."""
        del sa
        return True

    def encapsulates(self, sa: IkeSa) -> bool:
        """Always."""
        del sa
        return True


def _own(settings: PeerSettings, certificates: Certificates | None) -> SharedKey | KeyPair:
    if settings.local_auth is Authentication.PSK:
        return SharedKey(settings.secret)
    pair = certificates.mine.get(settings.local_auth) if certificates else None
    if pair is None:
        raise UnsupportedError(f"{settings.local_auth} authentication", "the built-in peer has no such certificate")
    return pair


def _testers(settings: PeerSettings, certificates: Certificates | None) -> SharedKey | TrustAnchors:
    if settings.remote_auth is Authentication.PSK:
        return SharedKey(settings.secret)
    if certificates is None or settings.remote_auth is Authentication.NULL:
        raise UnsupportedError(f"{settings.remote_auth} authentication", "the built-in peer cannot check it")
    return TrustAnchors(certificates.anchors, certificates.at)


def _on_wire(selector: Selector) -> TrafficSelector:
    ports = selector.start_port, selector.end_port
    return TrafficSelector.of(f"{selector.start}-{selector.end}", selector.protocol, ports)


def _refuse(settings: PeerSettings) -> None:
    lacking = {
        "MOBIKE": settings.mobike,
        "IKE fragmentation": settings.fragmentation,
        "leaving out certificates": not settings.send_certificate,
        "keeping the old of two IKE SAs": settings.unique == "keep",
        "a choice of signature hashes": bool(settings.hashes),
    }
    for ability, wanted in lacking.items():
        if wanted:
            raise UnsupportedError(ability, "the built-in peer has none")
