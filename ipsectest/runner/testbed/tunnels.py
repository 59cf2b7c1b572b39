"""The tunnels of a topology: one between each initiator and each responder, as both ends are told."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network

from ipsectest.base.addresses import ANY_HOST, Address
from ipsectest.base.iana import IKE_PORT
from ipsectest.base.suites import TransformSpec
from ipsectest.lab.topology.model import EndpointPlace, Role, Topology
from ipsectest.runner.endpoints import of_version
from ipsectest.scenario.ports import Authentication, Identity, PeerSettings, Selector

Proposal = tuple[TransformSpec, ...]


@dataclass(frozen=True, slots=True)
class Tunnel:
    """An IKE SA with one Child SA, which may be up or not."""

    initiator: str
    responder: str
    settings: Mapping[str, PeerSettings]
    """What each of the two nodes is told."""
    hosts: tuple[tuple[str, str], tuple[str, str]]
    """(node, address) whose packets the tunnel carries, on the side of the initiator and of the responder."""
    ways: tuple[tuple[tuple[str, str], tuple[str, str]], ...]
    """Such hosts for each IP version that both sides have inside."""
    protects: Mapping[str, tuple[str, ...]]
    """Node -> prefixes on its side, whatever its end offers."""

    @property
    def name(self) -> str:
        """``INITIATOR-RESPONDER``."""
        return f"{self.initiator}-{self.responder}"

    @property
    def nodes(self) -> tuple[str, str]:
        """Both."""
        return self.initiator, self.responder


@dataclass(frozen=True, slots=True)
class Offer:
    """What all endpoints of a topology offer and take; they share one secret."""

    secret: bytes
    ike: Proposal
    esp: Proposal
    ip: int = 4
    """Version of the outer addresses."""
    auth: Authentication = Authentication.PSK


def tunnels_of(topology: Topology, offer: Offer) -> list[Tunnel]:
    """Every tunnel, in the order of the file.

    LookupError where an end has no address of the IP version, or no node has an address of what it protects.
    """
    places = {node.name: node.endpoint for node in topology.nodes.values() if node.endpoint}
    made = []
    for first, here in places.items():
        for second, there in places.items():
            if (here.role, there.role) == ("initiator", "responder"):
                made.append(_tunnel(topology, offer, (first, here), (second, there)))
    return made


def host_name(node: str) -> str:
    """The identity of a node, which is the name in its certificate."""
    return f"{node}.example"


def beyond(tunnels: list[Tunnel], node: str) -> list[str]:
    """The prefixes behind the other ends of a node's tunnels."""
    prefixes = [
        prefix
        for tunnel in tunnels
        if node in tunnel.nodes
        for other in tunnel.nodes
        if other != node
        for prefix in tunnel.protects[other]
    ]
    return list(dict.fromkeys(prefixes))


Side = tuple[str, EndpointPlace]
Host = tuple[str, str]


def _tunnel(topology: Topology, offer: Offer, first: Side, second: Side) -> Tunnel:
    hosts = speaker(topology, *first), speaker(topology, *second)
    name = f"{first[0]}-{second[0]}"
    settings = {
        first[0]: _settings(name, offer, (first, second), hosts),
        second[0]: _settings(name, offer, (second, first), (hosts[1], hosts[0])),
    }
    protects = {node: tuple(str(ip_network(prefix)) for prefix in place.protects) for node, place in (first, second)}
    return Tunnel(first[0], second[0], settings, hosts, tuple(_ways(topology, first, second)), protects)


def _ways(topology: Topology, first: Side, second: Side) -> Iterator[tuple[Host, Host]]:
    for version in (4, 6):
        with suppress(LookupError):
            yield speaker(topology, *first, version), speaker(topology, *second, version)


def _settings(name: str, offer: Offer, sides: tuple[Side, Side], hosts: tuple[Host, Host]) -> PeerSettings:
    """For the first of both sides."""
    (node, here), (other, there) = sides
    return PeerSettings(
        name=name,
        local=Address(of_version(offer.ip, here.local), IKE_PORT),
        remote=Address(of_version(offer.ip, here.remote) if here.remote else ANY_HOST, IKE_PORT),
        local_id=Identity("fqdn", host_name(node)),
        remote_id=Identity("fqdn", host_name(other)),
        local_auth=offer.auth,
        remote_auth=offer.auth,
        secret=offer.secret if offer.auth is Authentication.PSK else b"",
        ike=(offer.ike,),
        esp=(offer.esp,),
        local_ts=tuple(Selector.of(prefix) for prefix in here.protects),
        remote_ts=tuple(Selector.of(prefix) for prefix in there.protects),
        inner_local=hosts[0][1],
        inner_remote=hosts[1][1],
    )


def speaker(topology: Topology, node: str, place: EndpointPlace, version: int | None = None) -> Host:
    """Who speaks for what an endpoint protects: a plain host behind it, else itself; IPv4 before IPv6.

    ``version``: of its address, if only that will do. LookupError where nobody has one.
    """
    inside = [ip_network(prefix) for prefix in place.protects]
    found: list[tuple[bool, bool, int, str, str]] = []
    for owner in topology.nodes.values():
        texts = [*owner.addresses, *(text for end in topology.ends_of(owner.name) for text in end.addresses)]
        is_host = owner.role is Role.HOST and owner.endpoint is None
        addresses = [
            address
            for text in texts
            if any((address := ip_interface(text).ip) in prefix for prefix in inside)
            and version in {None, address.version}
        ]
        found += [(not is_host, owner.name != node, one.version, owner.name, str(one)) for one in addresses]
    if not found:
        raise LookupError(f"no node has an {f'IPv{version} ' if version else ''}address that {node} protects")
    *_, name, text = min(found, key=lambda one: one[:3])
    return name, text
