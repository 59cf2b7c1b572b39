"""Where packets go with IPsec and where without: from whom to whom, and the routes that lead there in clear."""

from collections import deque
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from itertools import pairwise

from ipsectest.base.errors import UsageError
from ipsectest.lab.topology import Network, Topology
from ipsectest.lab.topology.model import EndpointPlace, Node, Role
from ipsectest.runner.endpoints import of_version
from ipsectest.runner.testbed.tunnels import Host, speaker

_METRIC = 1
"""Tells our routes from those of the topology."""


@dataclass(frozen=True, slots=True)
class Ends:
    """(node, address) on either side."""

    source: Host
    destination: Host

    def __str__(self) -> str:
        """In a line."""
        return " > ".join(f"{node} {address}" for node, address in (self.source, self.destination))


@dataclass(frozen=True, slots=True)
class Hop:
    """A route of one node to one address."""

    node: str
    destination: str
    gateway: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is held against each other."""

    inside: Ends
    """Through the tunnel."""
    plain: Ends
    """Without IPsec: the same ends, or where a NAT stands between them the outer ones."""
    routes: tuple[Hop, ...] = ()
    """What ``plain`` needs."""

    @property
    def is_like(self) -> bool:
        """Whether both go from the same host to the same."""
        return self.inside == self.plain

    def labels(self) -> dict[str, str]:
        """For the run."""
        kind = "same hosts" if self.is_like else "outer addresses"
        return {"with": str(self.inside), "without": f"{self.plain} ({kind})"}


def comparison(topology: Topology, initiator: Node, responder: Node, ip: int) -> Comparison:
    """For the tunnel between two nodes. UsageError where nobody is behind one of them, or it has no outer address."""
    here, there = _place(initiator), _place(responder)
    inside = _inside(topology, (initiator.name, here), (responder.name, there), ip)
    routes = plain_routes(topology, inside)
    if routes is not None:
        return Comparison(inside, inside, tuple(routes))
    # Behind a NAT the other end is known by the address that its mapping has.
    remote = _of_version(here.remote or there.local, ip)
    owner = _owner(topology, remote) or responder.name
    return Comparison(inside, Ends((initiator.name, _outer(initiator, ip)), (owner, remote)))


def plain_routes(topology: Topology, ends: Ends) -> list[Hop] | None:
    """Routes by which both hosts reach each other in clear; None if the way leads through a NAT, or there is none."""
    version = ip_address(ends.source[1]).version
    nodes = _way(topology, ends.source[0], ends.destination[0], version)
    if nodes is None or any(topology.nodes[node].role is Role.NAT for node in nodes):
        return None
    routes = []
    for way, (_, address) in ((nodes, ends.destination), (nodes[::-1], ends.source)):
        for node, following in pairwise(way):
            gateway = _neighbour(topology, node, following, version)
            if gateway and gateway != address:
                routes.append(Hop(node, address, gateway))
    return routes


def lead(network: Network, routes: tuple[Hop, ...]) -> None:
    """Make the routes: each is of one address, so that it goes before any of a tunnel."""
    for hop in routes:
        length = ip_address(hop.destination).max_prefixlen
        network.node(hop.node).add_route(f"{hop.destination}/{length}", gateway=hop.gateway, metric=_METRIC)


def take_back(network: Network, routes: tuple[Hop, ...]) -> None:
    """Remove them: what follows goes through the tunnel."""
    for hop in routes:
        length = ip_address(hop.destination).max_prefixlen
        with network[hop.node].route() as ipr:
            ipr.route("del", dst=f"{hop.destination}/{length}", gateway=hop.gateway, priority=_METRIC)


def _inside(topology: Topology, first: tuple[str, EndpointPlace], second: tuple[str, EndpointPlace], ip: int) -> Ends:
    why = ""
    for version in (ip, 10 - ip):
        try:
            return Ends(speaker(topology, *first, version), speaker(topology, *second, version))
        except LookupError as error:
            why = why or str(error)
    raise UsageError(f"{topology.name}: {why}")


def _way(topology: Topology, source: str, destination: str, version: int) -> list[str] | None:
    """The nodes of the shortest way, both ends included; all between forward packets."""
    before: dict[str, str] = {source: source}
    waiting = deque([source])
    while waiting:
        node = waiting.popleft()
        if node == destination:
            way = [node]
            while way[-1] != source:
                way.append(before[way[-1]])
            return way[::-1]
        if node != source and topology.nodes[node].role is Role.HOST:
            continue
        for other in _neighbours(topology, node):
            if other not in before and _neighbour(topology, node, other, version):
                before[other] = node
                waiting.append(other)
    return None


def _neighbours(topology: Topology, node: str) -> list[str]:
    ends = (link.ends for link in topology.links if any(end.node == node for end in link.ends))
    return [end.node for pair in ends for end in pair if end.node != node]


def _neighbour(topology: Topology, node: str, other: str, version: int) -> str:
    """The address of another node on a link that both have; empty without one of this version."""
    for link in topology.links:
        names = [end.node for end in link.ends]
        if node in names and other in names:
            texts = link.ends[names.index(other)].addresses
            found = [str(one.ip) for text in texts if (one := ip_interface(text)).version == version]
            if found:
                return found[0]
    return ""


def _owner(topology: Topology, address: str) -> str:
    """The node that has an address: that of a NAT in front of a responder is the NAT's."""
    for node in topology.nodes.values():
        texts = [*node.addresses, *(text for end in topology.ends_of(node.name) for text in end.addresses)]
        if any(str(ip_interface(text).ip) == address for text in texts):
            return node.name
    return ""


def _place(node: Node) -> EndpointPlace:
    if node.endpoint is None:
        raise UsageError(f"{node.name} has no endpoint")
    return node.endpoint


def _outer(node: Node, ip: int) -> str:
    return _of_version(_place(node).local, ip, node.name)


def _of_version(addresses: tuple[str, ...], ip: int, name: str = "the other end") -> str:
    try:
        return of_version(ip, addresses)
    except LookupError:
        raise UsageError(f"{name} has no IPv{ip} address for its endpoint") from None
