"""A topology that was realised: its namespaces, and what can happen to it while it runs."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_interface
from typing import Protocol

from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.topology import nat
from ipsectest.lab.topology.model import End, Route, Topology
from ipsectest.net.impaired_link import ImpairedLink
from ipsectest.net.loop import EventLoop


class Place(Protocol):
    """What can be done to a node, wherever it stands."""

    def up(self, link: str) -> None:
        """Set a link up."""
        ...

    def down(self, link: str) -> None:
        """Set a link down."""
        ...

    def add_addresses(self, link: str, *interfaces: str) -> None:
        """Give a link addresses such as ``192.0.2.1/24``."""
        ...

    def add_route(self, destination: str, *, link: str = "", gateway: str = "", metric: int = 0) -> None:
        """Route a prefix over a link or a gateway."""
        ...


class Elsewhere(Place, Protocol):
    """A node that is no namespace of this machine, such as one of a virtual machine."""

    def set_sysctl(self, key: str, value: str) -> None:
        """Set what stands below ``/proc/sys/net``."""
        ...

    def socket(self, device: str) -> tuple[Namespace, str]:
        """The link of this machine, not yet there, behind which the device will be: its namespace and name."""
        ...

    def plug(self, device: str, mtu: int) -> None:
        """That link is there: let the device be behind it, up."""
        ...


class Network:
    """``network["client"]`` is the namespace of node ``client``."""

    def __init__(
        self, topology: Topology, namespaces: Mapping[str, Namespace], elsewhere: Mapping[str, Elsewhere]
    ) -> None:
        self.topology = topology
        self.elsewhere = elsewhere
        self.impaired: dict[str, ImpairedLink] = {}
        """Links that our own forwarder makes bad, by name."""
        self._namespaces = namespaces
        self._forgotten: dict[str, int] = {}
        self._cut: set[str] = set()
        self._led: dict[str, list[tuple[str, int, str]]] = {}

    def __getitem__(self, node: str) -> Namespace:
        return self._namespaces[node]

    def node(self, name: str) -> Place:
        """A node, wherever it stands."""
        return self.elsewhere.get(name) or self._namespaces[name]

    def socket(self, end: End) -> tuple[Namespace, str]:
        """Where the end of a link is in this machine: its namespace and name."""
        away = self.elsewhere.get(end.node)
        return away.socket(end.device) if away else (self._namespaces[end.node], end.device)

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
            self.node(end.node).down(end.device)
        self._cut.add(link)

    def repair(self, link: str) -> None:
        """Join a link again; its ends get their routes and IPv6 addresses back, which the kernel took away."""
        ends = self._ends(link)
        self._cut.discard(link)
        for end in ends:
            self.node(end.node).up(end.device)
            self.node(end.node).add_addresses(end.device, *(text for text in end.addresses if ":" in text))
        for end in ends:
            self.add_routes(end.node)

    def add_routes(self, node: str) -> None:
        """Give a node the static routes of the description, but those over links that are cut; those it has stay."""
        for route in self.topology.nodes[node].routes:
            if not self._is_cut_off(node, route):
                self.node(node).add_route(route.destination, gateway=route.gateway, metric=route.metric)
        cut = {end.device for name in self._cut for end in self._ends(name) if end.node == node}
        for destination, metric, device in self._led.get(node, ()):
            if device not in cut:
                self.node(node).add_route(destination, link=device, metric=metric)

    def lead(self, node: str, destination: str, *devices: str) -> None:
        """Let a prefix leave a node by the first of these devices that is up, without a gateway."""
        ways = [(destination, 10 * number, device) for number, device in enumerate(devices, 1)]
        self._led.setdefault(node, []).extend(ways)
        for prefix, metric, device in ways:
            self.node(node).add_route(prefix, link=device, metric=metric)

    def _is_cut_off(self, node: str, route: Route) -> bool:
        gateway = ip_address(route.gateway)
        cut = (end for name in self._cut for end in self._ends(name) if end.node == node)
        return any(gateway in ip_interface(text).network for end in cut for text in end.addresses)

    def _ends(self, link: str) -> tuple[End, End]:
        for each in self.topology.links:
            if each.name == link:
                return each.ends
        raise LookupError(f"no link {link}")
