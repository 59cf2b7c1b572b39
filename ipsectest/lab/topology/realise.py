"""A topology -> namespaces, links, addresses, routes and NAT of a lab."""

from collections.abc import Mapping
from types import MappingProxyType

from ipsectest.lab.lab import Lab
from ipsectest.lab.namespaces import Namespace, add_veth
from ipsectest.lab.topology import nat, netem
from ipsectest.lab.topology.commands import set_sysctl
from ipsectest.lab.topology.model import End, Link, Node, Role, Topology
from ipsectest.lab.topology.network import Elsewhere, Network
from ipsectest.net.impaired_link import ImpairedLink
from ipsectest.net.impairment import Impairment
from ipsectest.net.tun import TapDevice, TunDevice

_FORWARDING = {"ipv4/conf/all/forwarding": "1", "ipv6/conf/all/forwarding": "1"}
_ALWAYS = {
    # Reverse-path filters would drop what comes by the second of two paths, redirects would lead around a gateway.
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/conf/all/accept_redirects": "0",
    "ipv6/conf/all/accept_redirects": "0",
    "ipv6/conf/default/accept_ra": "0",
    # A router whose link-local address is still tentative asks for no neighbours, for one or two seconds.
    "ipv6/conf/default/accept_dad": "0",
}


def realise(lab: Lab, topology: Topology, elsewhere: Mapping[str, Elsewhere] = MappingProxyType({})) -> Network:
    """Build it; the lab removes everything at its end. LabError where the machine does not let us.

    Nodes that stand ``elsewhere`` are there already, without links, addresses and routes.

    Impaired links carry packets only while an event loop runs the network's machines (``Network.join``),
    unless the kernel has netem. A seeded link is always ours, because netem's chance cannot be repeated.
    """
    namespaces = {name: lab.namespace(name) for name in topology.nodes if name not in elsewhere}
    network = Network(topology, namespaces, elsewhere)
    for node in topology.nodes.values():
        for key, value in (_ALWAYS | (_FORWARDING if node.role is not Role.HOST else {})).items():
            if node.name in elsewhere:
                elsewhere[node.name].set_sysctl(key, value)
            else:
                set_sysctl(namespaces[node.name], key, value)
        network.node(node.name).add_addresses("lo", *node.addresses)
    kernel = any(_wants_netem(link.impairment) for link in topology.links) and _kernel_has_netem(namespaces)
    for link in topology.links:
        if link.impairment and not (kernel and _wants_netem(link.impairment)):
            made = _join_impaired(network, link, link.impairment)
            lab.owns(made)
            network.impaired[link.name] = made
        else:
            _join(network, link)
    for node in topology.nodes.values():
        _finish(network, node)
    return network


def _wants_netem(impairment: Impairment | None) -> bool:
    return impairment is not None and impairment.seed is None


def _kernel_has_netem(namespaces: dict[str, Namespace]) -> bool:
    return netem.has_netem(next(iter(namespaces.values())))


def _join_impaired(network: Network, link: Link, impairment: Impairment) -> ImpairedLink:
    if not any(end.node in network.elsewhere for end in link.ends):
        first, second = (
            TunDevice(end.device, network[end.node].name, addresses=end.addresses, mtu=link.mtu) for end in link.ends
        )
        return ImpairedLink(first, second, impairment)
    first, second = (_tap(network, end, link.mtu) for end in link.ends)
    return ImpairedLink(first, second, impairment)


def _tap(network: Network, end: End, mtu: int) -> TapDevice:
    """An end that stands elsewhere has a bridge here."""
    namespace, device = network.socket(end)
    tap = TapDevice(device, namespace.name, mtu=mtu)
    if away := network.elsewhere.get(end.node):
        away.plug(end.device, mtu)
    network.node(end.node).add_addresses(end.device, *end.addresses)
    return tap


def _join(network: Network, link: Link) -> None:
    sockets = [network.socket(end) for end in link.ends]
    add_veth(*sockets[0], *sockets[1], mtu=link.mtu)
    for end, (namespace, device) in zip(link.ends, sockets, strict=True):
        if away := network.elsewhere.get(end.node):
            away.plug(end.device, link.mtu)
        network.node(end.node).add_addresses(end.device, *end.addresses)
        if link.impairment:
            netem.impair(namespace, device, link.impairment)


def _finish(network: Network, node: Node) -> None:
    network.add_routes(node.name)
    if node.nat:
        nat.translate(network[node.name], node.nat, node.nat.ports[0] if node.nat.ports else None)
