from pathlib import Path

import pytest

from ipsectest.base.errors import InputError
from ipsectest.scenario.lint import Finding, lint
from ipsectest.scenario.load import files, load, scenario_id
from tests.unit.scenario.conftest import written

KNOWN = {"ignores-ke-group", "none"}
FINE = """use tunnel net
-> INFORMATIONAL ...
<- INFORMATIONAL                     [MUST 7296-2.1-02]
   and HDR(r=1)                      [INFO 7296-2.4-02, 7296-3.14-09, 7296-2.5-03, 7296-1.4-01]"""


def findings(folder: Path, script: str, **how: str) -> list[Finding]:
    return lint([written(folder, script, **how)], KNOWN)


def only(found: list[Finding], text: str) -> Finding:
    fitting = [f for f in found if text in f.message]
    assert len(fitting) == 1, [str(f) for f in found]
    return fitting[0]


def test_a_good_file_has_no_findings(tmp_path: Path) -> None:
    assert findings(tmp_path, FINE) == []


@pytest.mark.parametrize(
    ("line", "column", "message", "hint"),
    [
        ("-> IKE_SA_INIT ... KE(modp2408)", 23, "'modp2408' is no name of KeyExchangeMethod", "'modp2048'"),
        ("-> IKE_SA_INIT ... SA(aes128-sha265-modp2048)", 30, "unknown algorithm 'sha265'", "'sha256'"),
        ("<- IKE_AUTH N(INVALID_KE_PAYLAOD)", 15, "'INVALID_KE_PAYLAOD' is no name", "'INVALID_KE_PAYLOAD'"),
        ("-> IKE_SA_INIT ... KE(data=flop)", 28, "'flop' is not octets", "'flip'"),
        ("-> IKE_SA_INIT ... KE(datta=flip)", 23, "KE has no field 'datta'", "'data'"),
        ("-> IKE_AUTH ... UTH", 17, "there is no payload 'UTH'", "'AUTH'"),
        ("-> IKE_SA_INITT ...", 4, "there is no exchange 'IKE_SA_INITT'", "'IKE_SA_INIT'"),
        ("-> IKE_AUTH ... TSi(teirs)", 21, "'teirs' is no traffic selector", "'theirs'"),
        ("-> IKE_AUTH ... SK{icw=flip}", 20, "SK has no field 'icw'", "'icv'"),
        ("-> IKE_AUTH ... HDR(majr=3)", 21, "HDR has no field 'majr'", "'major'"),
        ("-> IKE_AUTH ... from 450", 22, "'450' is no port word", "'4500'"),
        ("peer counter repaly +1", 14, "there is no counter 'repaly'", "'replay'"),
        ("<- INFORMATIONAL answers fist", 4, "no message above is called 'fist'", "as NAME"),
        ("-> ESP(nett) ping", 4, "no Child SA is called 'nett'", "'net'"),
    ],
)
def test_an_unknown_name_is_shown_with_the_nearest_one(
    tmp_path: Path, line: str, column: int, message: str, hint: str
) -> None:
    finding = only(findings(tmp_path, f"{FINE}\n{line}"), message)
    assert (finding.place.line, finding.place.column) == (11, column)
    assert hint in finding.hint
    assert str(finding).splitlines()[2] == "    " + " " * (column - 1) + "^"


def test_every_wrong_line_is_reported_at_once(tmp_path: Path) -> None:
    found = findings(tmp_path, f"{FINE}\nwait 5\npear ping\n-> IKE_AUTH ... KEE")
    assert [f.place.line for f in found] == [11, 12, 13]


def test_a_substituted_word_is_blamed_where_it_stands(tmp_path: Path) -> None:
    after = '[[variant]]\nname = "a"\ngroup = "modp2408"\n'
    finding = only(findings(tmp_path, f"{FINE}\n-> IKE_SA_INIT ... KE($group) V(2)", after=after), "modp2408")
    assert (finding.place.line, finding.place.column) == (11, 23)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("use tunnel net", "so nothing can fail"),
        (f"{FINE}\n<- nothing for 1s", "nothing after this silence"),
        (FINE.replace("[MUST 7296-2.1-02]", "[MUST 7296-1.2-07]"), "the tag's 7296-1.2-07 is not in cites"),
        (FINE.replace("[INFO", "[MUST"), "[MUST] is stronger than 7296-2.4-02"),
        (f"{FINE}\n<- INFORMATIONAL HDR(spi_r=0x0102030405060708)", "a literal SPI cannot be expected"),
        (f"{FINE}\n<- INFORMATIONAL D(esp 0x01020304)", "a literal SPI cannot be expected"),
        (f"{FINE}\nin any order:", "needs indented <- lines"),
        (f"use tunnel net\nand SA\n{FINE}", "and/or needs a <- line above it"),
        (f"{FINE}\n-> INFORMATIONAL $word", "$word has no value"),
        (f"{FINE}\n-> ESP ping", "a sent ESP line names its Child SA"),
    ],
)
def test_a_rule_of_lint(tmp_path: Path, script: str, message: str) -> None:
    assert only(findings(tmp_path, script), message)


def test_a_proof_has_to_be_a_known_impairment(tmp_path: Path) -> None:
    path = written(tmp_path, FINE)
    path.write_text(path.read_text().replace('["none"]', '["ignores-ke-groop"]'))
    assert "ignores-ke-group" in only(lint([path], KNOWN), "there is no impairment").hint
    path.write_text(path.read_text().replace('proof = ["ignores-ke-groop"]\n', ""))
    assert only(lint([path], KNOWN), "a proof is missing")


def test_a_cite_has_to_exist_and_to_be_tagged(tmp_path: Path) -> None:
    path = written(tmp_path, FINE)
    path.write_text(path.read_text().replace('"7296-1.4-01"]', '"7296-1.4-01", "7296-1.4-001", "7296-2.1-01"]'))
    found = lint([path], KNOWN)
    assert only(found, "there is no requirement '7296-1.4-001'").place.line == 3
    assert only(found, "7296-2.1-01 is cited but no line is tagged with it")


@pytest.mark.parametrize(
    ("facts", "message", "hint"),
    [
        ('peer.ikee = "x"', "there is no fact peer.ikee", "peer.ike"),
        ('peer.auth = "pks"', "peer.auth is one of", ""),
        ('peer.ike = "aes128-sha265-modp2048"', "unknown algorithm 'sha265'", "'sha256'"),
        ("peer.window = -1", "peer.window needs a whole number", ""),
        ('tester.id = "fqdn"', "tester.id an identity is written kind:value", ""),
        ('peer.id = "dn:gateway"', "peer.id 'gateway' is no part of a distinguished name", ""),
        ('peer.ts = "thiers"', "'thiers' is no traffic selector", "'theirs'"),
        ('peer.cookies = "yes"', "peer.cookies is true or false", ""),
        ('titel = "x"', "there is no key 'titel'", "'title'"),
    ],
)
def test_a_wrong_fact_is_named_at_its_line(tmp_path: Path, facts: str, message: str, hint: str) -> None:
    finding = only(findings(tmp_path, FINE, facts=facts), message)
    assert finding.place.line == 5
    assert hint in finding.hint


def test_broken_toml_keeps_its_place(tmp_path: Path) -> None:
    path = written(tmp_path, FINE, facts="peer.ike = ")
    assert lint([path], KNOWN)[0].place.line == 5


@pytest.mark.parametrize("value", ["[" * 9999, "9" * 9999])
def test_what_python_does_not_take_as_toml_is_a_finding_too(tmp_path: Path, value: str) -> None:
    path = written(tmp_path, FINE, facts=f"peer.ike = {value}")
    assert "cannot be read as TOML" in str(lint([path], KNOWN)[0])


def test_variants_are_named_and_used(tmp_path: Path) -> None:
    after = '[[variant]]\nname = "a b"\nunused = "1"\n'
    found = findings(tmp_path, FINE, after=after)
    assert only(found, "a variant needs a name")
    assert only(found, "$unused is set but the script does not use it").place.line == 14


def test_load_raises_for_the_first_problem(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"case\.toml:11:6: '5' does not fit here"):
        load(written(tmp_path, f"{FINE}\nwait 5"))


def test_the_id_is_the_path_below_scenarios(tmp_path: Path) -> None:
    path = tmp_path / "scenarios" / "ike" / "init" / "x.toml"
    assert scenario_id(path) == "ike/init/x"
    assert scenario_id(path, tmp_path) == "scenarios/ike/init/x"


def test_either_gives_a_case_for_each_role(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, FINE, tests="either", after='[[variant]]\nname = "a"\n'))
    assert [(c.id, c.peer_initiates) for c in scenario.cases] == [
        ("case[a,peer-responds]", False),
        ("case[a,peer-initiates]", True),
    ]


def test_a_variant_overrides_facts(tmp_path: Path) -> None:
    after = '[[variant]]\nname = "a"\npeer.window = 4\nproof = ["ignores-ke-group"]\n'
    case = load(written(tmp_path, FINE, facts="peer.window = 2\npeer.dpd = 5", after=after)).cases[0]
    assert case.peer == {"window": 4, "dpd": 5.0}
    assert case.proof == ("ignores-ke-group",)


def test_a_checkout_may_lie_in_a_folder_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "profiles" / "scenarios"
    (folder / "expected").mkdir(parents=True)
    for name in ("case.toml", "expected/peer.toml"):
        (folder / name).write_text("")
    assert files([folder]) == [folder / "case.toml"]
