"""The endpoints of a topology: who negotiates what with whom, and our own gateways in their places."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address

from ipsectest.base.addresses import ANY_HOST, Address
from ipsectest.base.iana import IKE_PORT
from ipsectest.ike.config import (
    DEFAULT_ESP,
    DEFAULT_IKE,
    ChildConfig,
    ConnectionConfig,
    EndpointConfig,
    Identity,
    SharedKey,
    Suite,
)
from ipsectest.lab.topology import Network, Topology
from ipsectest.net.loop import EventLoop
from ipsectest.runner.gateway import TunnelGateway
from ipsectest.wire import TrafficSelector


def configurations(
    topology: Topology,
    secret: bytes,
    *,
    ip: int = 4,
    ike: tuple[Suite, ...] = DEFAULT_IKE,
    esp: tuple[Suite, ...] = DEFAULT_ESP,
) -> dict[str, EndpointConfig]:
    """Node -> its endpoint, with a connection to each end of the other role, over outer addresses of one IP version.

    Nodes are known to each other as ``NODE.example`` and all share one secret. Raises LookupError for a
    topology whose endpoints have no addresses of that version.
    """
    placed = {node.name: node.endpoint for node in topology.nodes.values() if node.endpoint}

    def connection(name: str, other: str) -> ConnectionConfig:
        here, there, key = placed[name], placed[other], SharedKey(secret)
        sides = [tuple(TrafficSelector.of(prefix) for prefix in place.protects) for place in (here, there)]
        return ConnectionConfig(
            other,
            Address(of_version(ip, here.local), IKE_PORT),
            Address(of_version(ip, here.remote) if here.remote else ANY_HOST, IKE_PORT),
            Identity.of(f"{name}.example"),
            Identity.of(f"{other}.example"),
            key,
            key,
            (ChildConfig("net", sides[0], sides[1], esp),),
            ike,
        )

    return {
        name: EndpointConfig(
            (of_version(ip, here.local),),
            tuple(connection(name, other) for other, there in placed.items() if there.role != here.role),
        )
        for name, here in placed.items()
    }


@contextmanager
def running(
    loop: EventLoop, network: Network, configs: Mapping[str, EndpointConfig]
) -> Iterator[dict[str, TunnelGateway]]:
    """Our gateways at these nodes for the time of a ``with`` block; nothing is initiated yet."""
    with ExitStack() as stack:
        gateways = {}
        for name, config in configs.items():
            gateways[name] = TunnelGateway(loop, network[name].name, config, routes=_beyond(network.topology, name))
            stack.callback(gateways[name].close)
        yield gateways


def _beyond(topology: Topology, name: str) -> list[str]:
    """The prefixes behind the ends of the other role."""
    places = {node.name: node.endpoint for node in topology.nodes.values() if node.endpoint}
    others = [place for place in places.values() if place.role != places[name].role]
    return list(dict.fromkeys(prefix for other in others for prefix in other.protects))


def of_version(ip: int, addresses: tuple[str, ...]) -> str:
    """The one address of an IP version (4 or 6); LookupError if there is none."""
    for text in addresses:
        if ip_address(text).version == ip:
            return text
    raise LookupError(f"no IPv{ip} address among {', '.join(addresses)}")
