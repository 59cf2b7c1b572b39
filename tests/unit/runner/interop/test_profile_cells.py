"""Which cells a profile has: its suites, its roles, and what the other end lacks."""

from dataclasses import replace
from pathlib import Path

import pytest

from ipsectest.ike.config import suites as proposals
from ipsectest.runner.interop import cells, profile_cells
from ipsectest.runner.interop.abilities import Abilities
from ipsectest.runner.interop.cells import Cell, Plan
from ipsectest.runner.interop.profile_suites import suites
from ipsectest.scenario.ports import Authentication
from ipsectest.scenario.profile import Offer, Profile

IKE = proposals("aes128-aes256-sha1-sha256-prfsha1-prfsha256-modp1024-ecp384", "aes256gcm16-prfsha256-modp1024")
ESP = proposals("aes256-sha256-noesn-modp1024-ecp384", "aes128-sha1-noesn")
GATEWAY = Profile(
    "vendor",
    Path("vendor.toml"),
    "A vendor's",
    ("a document",),
    ("initiator", "responder"),
    ("tunnel",),
    ("plain", "udp"),
    ("v4",),
    (),
    {Authentication.PSK: "address"},
    Offer(IKE, IKE),
    Offer(ESP, ESP),
)
CLIENT = replace(GATEWAY, roles=("initiator",), identities={Authentication.RSA: "dn", Authentication.ECDSA: "dn"})
STRONGSWAN = Abilities("strongswan", "6.0.1", key_exchanges=frozenset({2, 20}))
LIBRESWAN_5 = Abilities("libreswan", "5.2", user_space_esp=False)
LIBRESWAN_4 = Abilities("libreswan", "4.10", user_space_esp=False)


def planned(profile: Profile, other: Abilities, *, full: bool = False) -> Plan:
    able = {"builtin@vendor": Abilities("builtin", "", profile=profile), "other": other}
    return profile_cells.plan({"builtin@vendor": profile}, ["other"], lambda p, *w: able[p].lacks(*w), full=full)


def test_suites_have_one_algorithm_of_each_kind_and_the_strongest_comes_first() -> None:
    found = suites(IKE)
    assert found[:3] == [
        "aes256-sha256-prfsha256-ecp384",
        "aes256-sha1-prfsha1-ecp384",
        "aes256gcm16-prfsha256-modp1024",
    ]
    assert found[-1] == "aes128-sha1-prfsha1-modp1024"
    assert len(found) == 9  # integrity and PRF are one hash
    assert suites(ESP) == ["aes256-sha256-noesn-ecp384", "aes256-sha256-noesn-modp1024", "aes128-sha1-noesn"]


def test_a_gateway_meets_another_in_both_roles_with_each_encapsulation() -> None:
    plan = planned(GATEWAY, STRONGSWAN)
    assert [(cell.pair, cell.encapsulation) for cell in plan.cells] == [
        ("builtin@vendor-to-other", "plain"),
        ("builtin@vendor-to-other", "udp"),
        ("other-to-builtin@vendor", "plain"),
        ("other-to-builtin@vendor", "udp"),
    ]
    assert {(cell.ike, cell.esp, cell.auth) for cell in plan.cells} == {
        ("aes256-sha256-prfsha256-ecp384", "aes256-sha256-noesn-ecp384", "psk")
    }
    assert plan.unsupported == {}


def test_a_client_never_responds_and_signs_with_each_kind_of_key() -> None:
    plan = planned(CLIENT, STRONGSWAN)
    assert [(cell.initiator, cell.auth) for cell in plan.cells] == [
        ("builtin@vendor", "rsa"),
        ("builtin@vendor", "ecdsa"),
    ]
    ((cell, why),) = plan.unsupported.items()
    assert (cell.responder, why) == ("builtin@vendor", "builtin@vendor lacks responder role")


def test_full_has_each_suite_and_what_the_other_end_cannot_do() -> None:
    plan = planned(GATEWAY, STRONGSWAN, full=True)
    assert {cell.ike for cell in plan.cells} == set(suites(IKE))
    assert {cell.esp for cell in plan.cells} == set(suites(ESP))
    assert plan.unsupported == {}
    plan = planned(GATEWAY, LIBRESWAN_5, full=True)
    assert {cell.ike for cell in plan.cells} == {suite for suite in suites(IKE) if "modp1024" not in suite}
    refused = {cell.ike for cell in plan.unsupported} | {cell.esp for cell in plan.unsupported}
    assert {suite for suite in (*suites(IKE), *suites(ESP)) if "modp1024" in suite} <= refused


def test_what_cannot_meet_at_all_is_one_cell_with_the_reason() -> None:
    weak = proposals("aes256-sha1-prfsha1-modp1024")
    plan = planned(replace(GATEWAY, ike=Offer(weak, weak)), LIBRESWAN_5)
    assert plan.cells == []
    assert [cell.pair for cell in plan.unsupported] == ["builtin@vendor-to-other", "other-to-builtin@vendor"]
    assert all("group modp1024" in why for why in plan.unsupported.values())


def test_libreswan_4_has_a_group_for_child_sas_if_it_is_that_of_the_ike_sa() -> None:
    plan = planned(GATEWAY, LIBRESWAN_4)
    assert {(cell.ike, cell.esp) for cell in plan.cells} == {
        ("aes256-sha256-prfsha256-ecp384", "aes256-sha256-noesn-ecp384")
    }
    other = proposals("aes256-sha256-noesn-ecp256")
    plan = planned(replace(GATEWAY, esp=Offer(other, other)), LIBRESWAN_4)
    assert plan.cells == []
    assert all("a group of its own for Child SAs" in why for why in plan.unsupported.values())


@pytest.mark.parametrize(
    ("word", "dimension", "lacking"),
    [
        ("responder", "role", "responder role"),
        ("psk", "auth", "psk authentication"),
        ("transport", "mode", "transport mode"),
        ("v6", "ip", "v6"),
        ("initiator", "role", ""),
        ("udp", "encapsulation", ""),
    ],
)
def test_what_a_profile_does_not_do(word: str, dimension: str, lacking: str) -> None:
    assert Abilities("builtin", "", profile=CLIENT).lacks(dimension, word) == lacking


def test_a_cell_that_is_asked_for_may_have_the_group_of_its_ike_sa_with_libreswan_4() -> None:
    able = {"builtin": Abilities("builtin", ""), "old": LIBRESWAN_4}
    same = Cell("builtin", "old", "aes256gcm16-prfsha384-ecp384", "aes256gcm16-noesn-ecp384")
    other = replace(same, esp="aes256gcm16-noesn-ecp256")
    plan = cells.chosen([same, other], lambda peer, *words: able[peer].lacks(*words))
    assert plan.cells == [same]
    assert list(plan.unsupported) == [other]
