"""Reading topologies: the shipped ones, and what is said about broken ones."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.errors import InputError
from ipsectest.lab.topology import Topology, shipped
from ipsectest.lab.topology.model import Nat, Role, Route
from ipsectest.lab.topology.nat import rules
from ipsectest.lab.topology.netem import options
from ipsectest.net.impairment import Impairment

GOOD = """\
title = "two hosts"

[node.left]
routes = ["default via 192.0.2.2 metric 5"]

[node.left.endpoint]
role = "initiator"
local = ["192.0.2.1"]
protects = ["198.51.100.0/24"]

[node.right]
role = "nat"
nat = { outside = "wire" }

[[link]]
"left:wire" = ["192.0.2.1/24"]
"right:wire" = ["192.0.2.2/24"]
impair = { loss = 0.5, delay = 1 }
"""


def read(tmp_path: Path, text: str) -> Topology:
    path = tmp_path / "some.toml"
    path.write_text(text)
    return Topology.load(path)


def test_a_description_becomes_a_topology(tmp_path: Path) -> None:
    made = read(tmp_path, GOOD)
    assert made.name == "some"
    assert made.nodes["left"].routes == (Route("0.0.0.0/0", "192.0.2.2", 5),)
    assert made.nodes["right"].role is Role.NAT
    (link,) = made.links
    assert link.name == "left-right"
    assert link.impairment == Impairment(loss=0.5, delay=1.0)
    assert [end.device for end in made.ends_of("left")] == ["wire"]


@pytest.mark.parametrize("name", shipped())
def test_shipped_descriptions_are_sound(name: str) -> None:
    made = Topology.load(shipped()[name])
    assert made.title
    assert made.why
    roles = [node.endpoint.role for node in made.nodes.values() if node.endpoint]
    assert roles.count("responder") == 1
    assert roles.count("initiator") >= 1


BROKEN = [
    ('role = "nat"', 'role = "nut"', 12, "there is no role 'nut'"),
    ('role = "nat"', 'role = "host"', 13, "go together"),
    ("metric 5", "metrics 5", 4, "is no route"),
    ("via 192.0.2.2", "via 192.0.3.2", 4, "192.0.3.2 is on no link of left"),
    ("default via", "2001:db8::/64 via", 4, "mixes IPv4 and IPv6"),
    ("default via", "192.0.2.1/24 via", 4, "has host bits set"),
    ('local = ["192.0.2.1"]', 'local = ["192.0.2.9"]', 6, "192.0.2.9 is no address of left"),
    ('local = ["192.0.2.1"]', 'local = ["192.0.2.1", "192.0.2.7"]', 8, "one address of each IP version"),
    ('role = "initiator"', 'role = "both"', 7, "an endpoint is initiator or responder"),
    ('protects = ["198.51.100.0/24"]', "", 6, "needs prefixes"),
    ('outside = "wire"', 'outside = "wan"', 13, "right has no device 'wan'"),
    ('outside = "wire"', 'outside = "wire", ports = ["9-8"]', 13, "no range of ports"),
    ('outside = "wire"', 'outside = "wire", timeout = 0', 13, "at least one second"),
    ('"right:wire"', '"rigth:wire"', 17, "there is no node 'rigth'"),
    ('"right:wire" = ["192.0.2.2/24"]', "", 15, "a link has two ends"),
    ("192.0.2.2/24", "192.0.2.2/25", 16, "no address in 192.0.2.0/24"),
    ('"right:wire"', '"left:wire"', 17, "Cannot overwrite"),
    ('"right:wire"', '"right:lo"', 17, "no name for a device"),
    ("impair =", "impare =", 18, "did you mean 'impair'?"),
    ("loss = 0.5", "loss = 1.5", 18, "loss is a probability"),
    ("loss = 0.5", 'loss = "1"', 18, "loss is a number"),
    ("delay = 1", "reorder = 0.1", 18, "reorder needs a delay"),
    ("impair = {", 'name = "../up"\nimpair = {', 18, "no name for a link"),
    ("impair = {", "mtu = 12\nimpair = {", 18, "mtu is from 576"),
    ('title = "two hosts"', "", 0, "title is missing"),
    ("[node.left]", "[node.Left]", 3, "is no name for a node"),
    ("[[link]]", "[[link]", 15, "Expected"),
]


@pytest.mark.parametrize(("good", "bad", "line", "said"), BROKEN)
def test_mistakes_are_told_with_their_line(tmp_path: Path, good: str, bad: str, line: int, said: str) -> None:
    assert good in GOOD
    with pytest.raises(InputError) as caught:
        read(tmp_path, GOOD.replace(good, bad, 1))
    assert said in str(caught.value)
    assert caught.value.place
    assert caught.value.place.line == line


def test_the_example_of_the_documentation_is_one(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "lab.md"
    text = page.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    made = read(tmp_path, text)
    assert {node.name for node in made.nodes.values() if node.endpoint} == {"client", "gateway"}
    assert [link.name for link in made.links] == ["client-nat", "internet", "gateway-host"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Topology.load(tmp_path / "none.toml")
    (tmp_path / "some.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match="UTF-8"):
        Topology.load(tmp_path / "some.toml")
    with pytest.raises(InputError, match="no nodes"):
        read(tmp_path, 'title = ""')


@given(st.data())
def test_no_damage_raises_anything_but_input_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 20)))
    damaged = GOOD[:start] + data.draw(st.text('[]{}"=.:/,0123456789abc \n', max_size=10)) + GOOD[end:]
    try:
        read(tmp_path_factory.getbasetemp(), damaged)
    except InputError as error:
        assert error.place  # noqa: PT017 - no error is fine too


def test_nat_rules_name_ports_and_the_server_behind() -> None:
    text = rules(Nat("wan", server="192.0.2.130"), (20000, 20499))
    assert 'oifname "wan" meta l4proto udp masquerade to :20000-20499' in text
    assert 'iifname "wan" udp dport 4500 dnat to 192.0.2.130' in text
    assert "dnat" not in rules(Nat("wan"), None)


def test_netem_gets_the_same_impairment_in_its_own_words() -> None:
    how = Impairment(loss=0.1, delay=0.02, jitter=0.001, reorder=0.25, duplicate=0.01, rate=1e6, limit=50)
    words = "limit 50 delay 20000us 1000us loss 10% duplicate 1% reorder 25% rate 1000000bit"
    assert " ".join(options(how)) == words
