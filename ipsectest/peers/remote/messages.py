"""What an adapter is told, as JSON: version 1 of the protocol of docs/peers.md."""

import dataclasses
from collections.abc import Mapping

from ipsectest.base.addresses import Address
from ipsectest.base.iana import IKE_PORT, ProtocolId
from ipsectest.base.suites import format_suite
from ipsectest.peers.credentials import Credentials
from ipsectest.peers.remote.description import Ports, Remote
from ipsectest.scenario.ports import Authentication, Identity, PeerPacket, PeerRequest, PeerSettings, Selector, SpdEntry

PROTOCOL = 1
"""Raised when an adapter for the last version would do something wrong; additions do not raise it."""
ALWAYS = frozenset({
    "name", "local", "remote", "local_id", "remote_id", "local_auth", "remote_auth", "secret", "ike", "esp",
    "local_ts", "remote_ts", "inner_local", "inner_remote", "child", "behind",
})  # fmt: skip
"""Settings that every case has; each adapter has to know them, the others it names."""
OPTIONAL: Mapping[str, object] = {
    field.name: field.default for field in dataclasses.fields(PeerSettings) if field.name not in ALWAYS
}
"""The other settings, with what a case means that says nothing of them."""


def settings_json(settings: PeerSettings, remote: Remote) -> dict[str, object]:
    """The settings of a case: those that every case has, and of the others what is not at its default."""
    made: dict[str, object] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name in OPTIONAL and value == OPTIONAL[field.name]:
            continue
        made[field.name] = _json(value)
    made["local"] = _end(settings.local, remote.peer_ports)
    made["remote"] = _end(settings.remote, remote.own_ports)
    made["secret"] = settings.secret.hex()
    if "protocol" in made:
        made["protocol"] = ProtocolId(settings.protocol).name.lower()
    return made


def credentials_json(settings: PeerSettings, credentials: Credentials | None) -> dict[str, object]:
    """What the peer proves itself with and whom it believes, in PEM; empty for pre-shared keys."""
    if credentials is None or {settings.local_auth, settings.remote_auth} <= {Authentication.PSK}:
        return {}
    mine = credentials.mine.get(settings.local_auth)
    made: dict[str, object] = {"authorities": [authority.decode() for authority in credentials.authorities]}
    if mine:
        made |= {"certificate": mine.certificate.decode(), "key": mine.key.decode()}
    return made


def request_json(request: PeerRequest) -> dict[str, object]:
    """The fields of a verb."""
    made: dict[str, object] = {
        "connection": request.settings.name,
        "child": request.child,
        "spi": request.spi.hex(),
        "ike_spi": request.ike_spi.hex(),
    }
    if request.counter:
        made["counter"] = request.counter.value
    if request.packet:
        made["packet"] = _json(request.packet)
    return made


def _json(value: object) -> object:
    made = value
    match value:
        case bytes():
            made = value.hex()
        case Identity():
            made = str(value)
        case Selector():
            ports = [value.start_port, value.end_port]
            made = {"start": value.start, "end": value.end, "protocol": value.protocol, "ports": ports}
        case SpdEntry() | PeerPacket():
            made = {field.name: _json(getattr(value, field.name)) for field in dataclasses.fields(value)}
        case tuple() if value and all(isinstance(suite, tuple) for suite in value):
            made = [format_suite(suite) for suite in value]
        case tuple():
            made = [_json(item) for item in value]
    return made


def _end(address: Address, ports: Ports) -> dict[str, object]:
    ike = ports.ike if address.port == IKE_PORT else address.port
    return {"address": address.host, "port": ike, "nat_port": ports.nat}
