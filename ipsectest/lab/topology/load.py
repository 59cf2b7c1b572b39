"""Topology files -> `Topology`; whatever does not fit together is told with file and line.

title = "Road warrior behind a NAT"

[node.client]
role = "gateway"                     # host, gateway, router or nat
addresses = ["198.51.100.1/32"]      # on the loopback
routes = ["default via 203.0.113.1 metric 10"]

[node.client.endpoint]
role = "initiator"                   # or responder
local = ["203.0.113.2"]
remote = ["192.0.2.2"]               # as seen from here; without it: anywhere
protects = ["198.51.100.1/32"]

[node.nat]
role = "nat"
nat = { outside = "wan", ports = ["20000-20499"], timeout = 30, server = "" }

[[link]]
"client:wan" = ["203.0.113.2/24"]
"nat:lan" = ["203.0.113.1/24"]
mtu = 1400
impair = { loss = 0.1, delay = 0.02, seed = 7 }
"""

import re
from dataclasses import fields
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from pathlib import Path

from ipsectest.base.toml_tables import Table, read
from ipsectest.lab.topology.model import End, EndpointPlace, Link, Nat, Node, Role, Route, Topology
from ipsectest.net.impairment import Impairment

_NAME = re.compile(r"[a-z][a-z0-9-]{0,14}")  # 15 octets is what Linux has for the name of a link
_LINK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{,39}")  # it names a file too
_ENDPOINTS = ("initiator", "responder")
_DEFAULTS = {4: "0.0.0.0/0", 6: "::/0"}
_MTU = range(576, 65536)


def load(path: Path) -> Topology:
    """Read a file; InputError for the first thing that is wrong."""
    root = read(path)
    root.only("title", "why", "node", "link")
    nodes = {name: _node(name, table) for name, table in root.tables("node")}
    if not nodes:
        root.fail("there are no nodes: a node is written as [node.NAME]")
    links: list[Link] = []
    for _, table in root.tables("link"):
        links.append(_link(table, nodes, links))
    topology = Topology(path.stem, root.get("title", str), root.get("why", str, "").strip(), nodes, tuple(links))
    for name, table in root.tables("node"):
        _check(table, topology, nodes[name])
    return topology


def _node(name: str, table: Table) -> Node:
    if not _NAME.fullmatch(name):
        table.fail(f"{name!r} is no name for a node: a letter, then letters, digits and -, at most 15")
    table.only("role", "endpoint", "addresses", "routes", "nat")
    role = table.get("role", str, "host")
    if role not in list(Role):
        table.fail(f"there is no role {role!r}", "role", hint=f"one of {', '.join(Role)}")
    endpoint, nat = table.table("endpoint"), table.table("nat")
    if (nat is None) == (role == Role.NAT):
        table.fail("nat = { outside = ... } and the role 'nat' go together", "nat" if nat else "role")
    return Node(
        name,
        Role(role),
        _endpoint(endpoint) if endpoint else None,
        tuple(str(_interface(table, "addresses", text)) for text in table.texts("addresses")),
        tuple(_route(table, text) for text in table.texts("routes")),
        _nat(nat) if nat else None,
    )


def _endpoint(table: Table) -> EndpointPlace:
    table.only("role", "local", "remote", "protects")
    role = table.get("role", str)
    if role not in _ENDPOINTS:
        table.fail(f"an endpoint is {' or '.join(_ENDPOINTS)}", "role")
    protects = tuple(_prefix(table, "protects", text) for text in table.texts("protects"))
    if not protects:
        table.fail("an endpoint needs prefixes that it protects", "protects")
    return EndpointPlace(role, _outer(table, "local"), _outer(table, "remote"), protects)


def _outer(table: Table, key: str) -> tuple[str, ...]:
    try:
        addresses = [ip_address(text) for text in table.texts(key)]
    except ValueError as error:
        table.fail(str(error), key)
    if len({address.version for address in addresses}) != len(addresses):
        table.fail(f"{key} is one address of each IP version", key)
    return tuple(str(address) for address in addresses)


def _route(table: Table, text: str) -> Route:
    match = re.fullmatch(r"(\S+) via (\S+)(?: metric (\d{1,9}))?", text)
    if match is None:
        table.fail(f"{text!r} is no route", "routes", hint="PREFIX via ADDRESS, then perhaps: metric NUMBER")
    try:
        version = ip_address(match[2]).version
    except ValueError as error:
        table.fail(str(error), "routes")
    prefix = _DEFAULTS[version] if match[1] == "default" else _prefix(table, "routes", match[1])
    if ip_network(prefix).version != version:
        table.fail(f"{text!r} mixes IPv4 and IPv6", "routes")
    return Route(prefix, match[2], int(match[3] or 0))


def _nat(table: Table) -> Nat:
    table.only("outside", "ports", "timeout", "server")
    ranges = []
    for text in table.texts("ports"):
        match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text)
        if match is None or not 0 < int(match[1]) <= int(match[2]) < 65536:
            table.fail(f"{text!r} is no range of ports", "ports", hint="such as 20000-20499")
        ranges.append((int(match[1]), int(match[2])))
    timeout = table.get("timeout", int) if "timeout" in table.content else None
    if timeout is not None and timeout < 1:
        table.fail("timeout is at least one second", "timeout")
    server = table.get("server", str, "")
    if server and _interface(table, "server", server).version != 4:
        table.fail("server is an IPv4 address", "server")
    return Nat(table.get("outside", str), tuple(ranges), timeout, server)


def _link(table: Table, nodes: dict[str, Node], before: list[Link]) -> Link:
    written = [key for key in table.content if ":" in key]
    table.only("name", "mtu", "impair", *written)
    if len(written) != 2:
        table.fail('a link has two ends, each written as "NODE:DEVICE" = [ADDRESSES]')
    taken = {(end.node, end.device) for link in before for end in link.ends}
    ends = []
    for key in written:
        node, _, device = key.partition(":")
        if node not in nodes:
            table.fail(f"there is no node {node!r}", key)
        if not _NAME.fullmatch(device) or device == "lo":
            table.fail(f"{device!r} is no name for a device", key)
        if (node, device) in taken:
            table.fail(f"{node} has two devices called {device!r}", key)
        taken.add((node, device))
        ends.append(End(node, device, tuple(str(_interface(table, key, text)) for text in table.texts(key))))
    name = table.get("name", str, "-".join(end.node for end in ends))
    if not _LINK_NAME.fullmatch(name):
        table.fail(f"{name!r} is no name for a link: letters, digits and -, at most 40", "name")
    if name in [link.name for link in before]:
        table.fail(f"two links are called {name!r}: give one a name", "name")
    _check_subnets(table, written, ends)
    mtu = table.get("mtu", int, 1500)
    if mtu not in _MTU:
        table.fail(f"mtu is from {_MTU[0]} to {_MTU[-1]}", "mtu")
    how = table.table("impair")
    return Link(name, (ends[0], ends[1]), mtu, _impairment(how) if how else None)


def _check_subnets(table: Table, keys: list[str], ends: list[End]) -> None:
    networks = [{ip_interface(text).network for text in end.addresses} for end in ends]
    for key, here, there in zip(keys, networks, reversed(networks), strict=True):
        for network in sorted(here - there, key=str):
            table.fail(f"the other end of the link has no address in {network}", key)


def _impairment(table: Table) -> Impairment:
    kinds = {field.name: int if field.name in {"limit", "seed"} else float for field in fields(Impairment)}
    table.only(*kinds)
    try:
        return Impairment(**{key: table.get(key, kinds[key]) for key in table.content})  # type: ignore[arg-type]
    except ValueError as error:
        table.fail(str(error))


def _check(table: Table, topology: Topology, node: Node) -> None:
    """What can only be seen with all links known."""
    ends = topology.ends_of(node.name)
    near = [ip_interface(text).network for end in ends for text in end.addresses]
    for route in node.routes:
        if not any(ip_address(route.gateway) in network for network in near):
            table.fail(f"{route.gateway} is on no link of {node.name}", "routes")
    if node.nat and node.nat.outside not in [end.device for end in ends]:
        table.fail(f"{node.name} has no device {node.nat.outside!r}", "nat")
    own = [ip_interface(text).ip for text in (*node.addresses, *(text for end in ends for text in end.addresses))]
    for address in node.endpoint.local if node.endpoint else ():
        if ip_address(address) not in own:
            table.fail(f"{address} is no address of {node.name}", "endpoint")


def _interface(table: Table, key: str, text: str) -> IPv4Interface | IPv6Interface:
    try:
        return ip_interface(text)
    except ValueError as error:
        table.fail(str(error), key)


def _prefix(table: Table, key: str, text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        table.fail(str(error), key)
