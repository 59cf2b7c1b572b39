from dataclasses import astuple, replace
from itertools import combinations, product

import pytest

from ipsectest.base.errors import UsageError
from ipsectest.runner.interop import cells
from ipsectest.runner.interop.abilities import Abilities
from ipsectest.runner.interop.cells import DIMENSIONS, Cell
from ipsectest.runner.interop.session import spread

METHODS = frozenset({14, 15, 16, 19, 20, 21, 31, 32})
PEERS = {
    "builtin": Abilities("builtin", "1.0"),
    "strongswan@bookworm": Abilities("strongswan", "5.9.8", raw_esp=False, key_exchanges=METHODS),
    "strongswan@forky": Abilities("strongswan", "6.1.0", key_exchanges=METHODS | {36}),
    "libreswan@trixie": Abilities("libreswan", "5.2", without_children="kernel without ESP"),
}
ANY = Cell("builtin", "builtin", cells.IKE[0], cells.ESP[0])


def lacks(peer: str, dimension: str, word: str) -> str:
    return PEERS[peer].lacks(dimension, word)


def choices(cell: Cell) -> list[tuple[str, object]]:
    words = astuple(cell)
    return [("pair", words[:2]), *zip(DIMENSIONS, words[2:], strict=True)]


def test_every_two_words_that_a_pair_can_do_meet_in_a_cell() -> None:
    plan = cells.covering(list(PEERS), lacks)
    met = {two for cell in plan.cells for two in combinations(choices(cell), 2)}
    for pair in product(PEERS, repeat=2):
        for (first, a), (second, b) in combinations([(d, w) for d in DIMENSIONS for w in DIMENSIONS[d]], 2):
            able = not any(lacks(peer, d, w) for peer in pair for d, w in ((first, a), (second, b)))
            able = able and not _contradict(a, b)
            if able and first != second:
                assert ((first, a), (second, b)) in met
            if able:
                assert (("pair", pair), (first, a)) in met
    assert not any(
        lacks(peer, *choice) for cell in plan.cells for peer in astuple(cell)[:2] for choice in choices(cell)[1:]
    )


def test_each_word_that_a_pair_cannot_do_is_one_unsupported_cell_that_names_the_side() -> None:
    plan = cells.covering(list(PEERS), lacks)
    of_pair = {astuple(c)[2:]: why for c, why in plan.unsupported.items() if c.pair == "builtin-to-strongswan@bookworm"}
    assert sorted(of_pair.values()) == [
        "builtin lacks AH in user space; strongswan@bookworm lacks AH in user space",
        "builtin lacks AH in user space; strongswan@bookworm lacks AH in user space",
        "strongswan@bookworm lacks ESP without UDP in user space",
        "strongswan@bookworm lacks ML_KEM_768",
        "strongswan@bookworm lacks transport mode in user-space ESP",
    ]
    whole = [why for c, why in plan.unsupported.items() if c.pair == "libreswan@trixie-to-builtin"]
    assert whole == ["libreswan@trixie lacks Child SAs (kernel without ESP)"]
    assert not set(plan.cells) & set(plan.unsupported)


def test_full_is_every_combination_that_can_be_tried() -> None:
    plan = cells.all_combinations(["builtin"], lacks)
    able = [[word for word in words if not lacks("builtin", name, word)] for name, words in DIMENSIONS.items()]
    count = sum(not any(_contradict(a, b) for a, b in combinations(words, 2)) for words in product(*able))
    assert len(set(plan.cells)) == len(plan.cells) == count


def _contradict(one: str, other: str) -> bool:
    """Transport mode has no addresses of another kind inside."""
    return "transport" in {one, other} and "-in-" in one + other


def test_a_spread_takes_cells_of_all_pairs() -> None:
    plan = cells.covering(["builtin", "strongswan@forky"], lacks)
    few = spread(plan.cells, 5)
    assert len(few) == 5
    assert set(few) <= set(plan.cells)
    assert len(set(few)) == 5
    assert spread(plan.cells, 10_000) == list(plan.cells)


def test_cells_that_are_asked_for_are_checked_too() -> None:
    transport = replace(ANY, mode="transport")
    authenticated = replace(ANY, esp="sha256-noesn")
    plan = cells.chosen([ANY, transport, authenticated], lacks)
    assert plan.cells == [ANY, transport]
    assert plan.unsupported == {authenticated: "builtin lacks AH in user space"}


def test_a_cell_is_parsed_from_what_it_prints() -> None:
    for cell in cells.covering(list(PEERS), lacks).cells:
        assert cells.parse(str(cell)) == cell
    assert cells.parse("a,b,aes128-sha256-prfsha256-modp2048,aes128gcm16") == Cell(
        "a", "b", "aes128-sha256-prfsha256-modp2048", "aes128gcm16"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b", "a cell is INITIATOR,RESPONDER"),
        ("a,b,aes128gcm16-prfsha256-x25519,aes128gcm16,oracle", "'oracle' in"),
        ("a,b,aes128gcm16-prfsha256-x25519,aes128gcm17", "aes128gcm17"),
        ("a,b,aes128gcm16-prfsha256-x25519,aes128gcm16,psk,tunnel,udp,v5", "none of v4, v6"),
    ],
)
def test_wrong_words_are_told(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        cells.parse(text)


def test_ip_versions_of_a_cell() -> None:
    found = {word: (replace(ANY, ip=word).inner, replace(ANY, ip=word).outer) for word in cells.IPS}
    assert found == {"v4": (4, 4), "v6": (6, 6), "v4-in-v6": (4, 6), "v6-in-v4": (6, 4)}


def test_libreswan_lacks_what_it_has_no_word_for() -> None:
    able = Abilities("libreswan", "5.2", user_space_esp=False)
    assert able.lacks("ike", "aes256gcm16-prfsha512-mlkem768") == "group mlkem768: Libreswan does not have it"
    assert able.lacks("auth", "ed25519")
    assert not able.lacks("mode", "transport")
    assert not able.lacks("ike", "aes256gcm16-prfsha384-ecp384")


def test_libreswan_4_meets_a_group_of_child_sas_beside_the_same_of_the_ike_sa() -> None:
    able = {name: Abilities("libreswan", name, user_space_esp=False) for name in ("4.10", "5.2")}
    plan = cells.covering(list(able), lambda peer, dimension, word: able[peer].lacks(dimension, word))
    found = {(group(cell.ike), group(cell.esp)) for cell in plan.cells if "4.10" in astuple(cell) and group(cell.esp)}
    assert {esp for _, esp in found} == {group(suite) for suite in DIMENSIONS["esp"]} - {""}
    assert all(ike == esp for ike, esp in found)
    assert any(group(cell.ike) != group(cell.esp) != "" for cell in plan.cells if cell.pair == "5.2-to-5.2")
    assert {cell.esp for cell, why in plan.unsupported.items() if "group of its own" in why} == {
        suite
        for suite in DIMENSIONS["esp"]
        if "x448" in suite  # which it lacks for IKE SAs too
    }


def group(suite: str) -> str:
    """Of a suite, empty if it has none."""
    return next((word for word in suite.split("-") if word.startswith(("modp", "ecp", "x25519"))), "")
