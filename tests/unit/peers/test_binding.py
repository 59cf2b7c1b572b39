"""Interfaces and marks of Child SAs, and what takes them back."""

import re

import pytest

from ipsectest.peers.binding import bind, number_of, unbind
from ipsectest.peers.credentials import Credentials
from ipsectest.peers.libreswan_settings import connection as pluto_connection
from ipsectest.peers.strongswan_settings import connection
from tests.unit.peers.settings import settings


def test_without_a_binding_nothing_is_done() -> None:
    assert (bind(settings()), unbind(settings())) == ("", "")


@pytest.mark.parametrize("kind", ["interface", "vti"])
@pytest.mark.parametrize("host", ["198.51.100.7", "2001:db8:0:100::7"])
def test_what_an_interface_adds_is_taken_back(host: str, kind: str) -> None:
    given = settings(7, bound_to=kind, inner_remote=host)
    added, taken = bind(given).splitlines(), unbind(given).splitlines()
    rules = [line.split("rule add ")[1] for line in added if "rule add" in line]
    assert rules == [line.split("rule del ")[1] for line in taken if "rule del" in line]
    number = {"interface": "if_id", "vti": "key"}[kind]
    assert any(line.endswith(f"{number} {number_of(given)}") for line in added)
    (link,) = re.findall(r"link del (\S+)", unbind(given))
    assert f"link add {link} " in bind(given)


def test_a_mark_has_a_table_of_its_own() -> None:
    given = settings(7, bound_to="mark")
    assert unbind(given).split()[-1] in bind(given)
    marked = [line for line in bind(given).splitlines() if f"meta mark set {number_of(given)}" in line]
    assert [given.remote.host in line for line in marked].count(True) == 2  # ESP on its way in, in UDP and not


def test_cases_that_run_at_once_have_different_numbers() -> None:
    numbers = {number_of(settings(slot)) for slot in range(1, 121)}
    assert len(numbers) == 120
    assert min(numbers) > 255  # routing tables of the kernel's own, and ipsec1, which pluto makes to try


@pytest.mark.parametrize("version", ["4.10", "5.2"])
def test_pluto_is_told_the_number(version: str) -> None:
    given = settings(7, bound_to="interface")
    assert f"ipsec-interface={number_of(given)}\n" in pluto_connection(given, version)
    assert f"link add ipsec{number_of(given)} " in bind(given)  # the name that pluto makes of it
    given = settings(7, bound_to="mark")
    assert f"mark={number_of(given)}/0xffffffff\n" in pluto_connection(given, version)


def test_charon_is_told_the_number() -> None:
    for bound_to, names in (
        ("interface", {"if_id_in", "if_id_out"}),
        ("vti", {"mark_in", "mark_out"}),
        ("mark", {"mark_in", "mark_out"}),
    ):
        given = settings(7, bound_to=bound_to)
        child = connection(given, Credentials(), user_space_esp=False)["children"]["net"]
        assert {name for name, value in child.items() if value == str(number_of(given))} == names
