"""Between whom is measured, and what the plain way is held against, for each shipped topology."""

import pytest

from ipsectest.lab.topology import Topology, shipped
from ipsectest.lab.topology.model import Role
from ipsectest.runner.measure import Bench, Plan
from ipsectest.runner.measure.path import Ends, plain_routes

LIKE = {"bad-link", "host-to-host", "hub-and-spoke", "narrow-path", "site-to-site", "two-paths"}
NAMES = sorted(shipped())


def bench(name: str, ip: int = 4) -> Bench:
    return Bench(Plan(Topology.load(shipped()[name]), ip))


@pytest.mark.parametrize("name", NAMES)
def test_each_topology_can_be_measured(name: str) -> None:
    compared = bench(name).compared
    assert compared.is_like == (name in LIKE)
    assert bool(compared.routes) <= compared.is_like


@pytest.mark.parametrize("name", NAMES)
def test_hosts_behind_the_gateways_speak_where_there_are_any(name: str) -> None:
    made = bench(name)
    nodes = Topology.load(shipped()[name]).nodes
    for node, _ in (made.compared.inside.source, made.compared.inside.destination):
        assert nodes[node].role is Role.HOST or nodes[node].endpoint


def test_a_nat_on_the_way_leaves_no_plain_one_for_protected_addresses() -> None:
    made = bench("site-to-site-nat")
    assert made.compared.plain == Ends(("east", "192.0.2.66"), ("west", "192.0.2.2"))
    assert made.labels["without"].endswith("(outer addresses)")
    assert plain_routes(Topology.load(shipped()["site-to-site-nat"]), made.compared.inside) is None


def test_routes_lead_both_ways_over_every_node_but_the_last() -> None:
    compared = bench("site-to-site").compared
    (first, address), (last, back) = compared.inside.source, compared.inside.destination
    to = [hop.node for hop in compared.routes if hop.destination == back]
    fro = [hop.node for hop in compared.routes if hop.destination == address]
    assert to[0] == first
    assert fro[0] == last
    assert last not in to
    assert first not in fro


def test_ipv6_hosts_are_taken_for_ipv6_where_there_are_any() -> None:
    assert ":" in bench("host-to-host", 6).compared.inside.source[1]
