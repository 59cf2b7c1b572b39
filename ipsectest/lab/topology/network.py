"""A topology that was realised: its namespaces, and what can happen to it while it runs."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_interface

from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.topology import nat
from ipsectest.lab.topology.model import End, Route, Topology
from ipsectest.net.impaired_link import ImpairedLink
from ipsectest.net.loop import EventLoop


class Network:
    """``network["client"]`` is the namespace of node ``client``."""

    def __init__(self, topology: Topology, namespaces: Mapping[str, Namespace]) -> None:
        self.topology = topology
        self.impaired: dict[str, ImpairedLink] = {}
        """Links that our own forwarder makes bad, by name."""
        self._namespaces = namespaces
        self._forgotten: dict[str, int] = {}
        self._cut: set[str] = set()

    def __getitem__(self, node: str) -> Namespace:
        return self._namespaces[node]

    def join(self, loop: EventLoop) -> None:
        """Let a loop carry the packets of impaired links."""
        for link in self.impaired.values():
            loop.add(link)

    def forget(self, node: str) -> None:
        """The NAT loses its mappings, as after a restart; new ones come from its next range of ports."""
        how = self.topology.nodes[node].nat
        if how is None:
            raise LookupError(f"{node} is no NAT")
        times = self._forgotten[node] = self._forgotten.get(node, 0) + 1
        nat.translate(self[node], how, how.ports[times % len(how.ports)] if how.ports else None)
        nat.forget_mappings(self[node])

    def fail(self, link: str) -> None:
        """Cut a link: both ends go down, and with them the routes over it."""
        for end in self._ends(link):
            self[end.node].down(end.device)
        self._cut.add(link)

    def repair(self, link: str) -> None:
        """Join a link again; its ends get their routes and IPv6 addresses back, which the kernel took away."""
        ends = self._ends(link)
        self._cut.discard(link)
        for end in ends:
            self[end.node].up(end.device)
            self[end.node].add_addresses(end.device, *(text for text in end.addresses if ":" in text))
        for end in ends:
            self.add_routes(end.node)

    def add_routes(self, node: str) -> None:
        """Give a node the static routes of the description, but those over links that are cut; those it has stay."""
        for route in self.topology.nodes[node].routes:
            if not self._is_cut_off(node, route):
                self[node].add_route(route.destination, gateway=route.gateway, metric=route.metric)

    def _is_cut_off(self, node: str, route: Route) -> bool:
        gateway = ip_address(route.gateway)
        cut = (end for name in self._cut for end in self._ends(name) if end.node == node)
        return any(gateway in ip_interface(text).network for end in cut for text in end.addresses)

    def _ends(self, link: str) -> tuple[End, End]:
        for each in self.topology.links:
            if each.name == link:
                return each.ends
        raise LookupError(f"no link {link}")
