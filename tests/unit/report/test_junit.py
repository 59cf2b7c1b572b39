import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import xmlschema

from ipsectest.report import junit
from ipsectest.runner.records import CheckRecord, RunRecord
from ipsectest.scenario.results import Level, Verdict

XSD = xmlschema.XMLSchema(str(Path(__file__).with_name("junit.xsd")))


def _cases(text: str) -> dict[tuple[str, str], ET.Element]:
    root = ET.fromstring(text)
    return {(s.get("name").split()[0], c.get("name").split("[")[0]): c for s in root for c in s.iter("testcase")}


def test_document_has_the_junit_layout(record: RunRecord) -> None:
    XSD.validate(junit.render(record))
    XSD.validate(junit.render(record, strict=True))


def test_an_empty_run_is_a_valid_document(record: RunRecord) -> None:
    XSD.validate(junit.render(replace(record, results=[])))


def test_counts_agree_with_the_testcases(record: RunRecord) -> None:
    root = ET.fromstring(junit.render(record))
    assert int(root.get("tests")) == len(record.results)
    assert int(root.get("failures")) == len(list(root.iter("failure")))
    assert int(root.get("errors")) == len(list(root.iter("error"))) == 1


def test_each_verdict_has_its_ending(record: RunRecord) -> None:
    cases = _cases(junit.render(record))
    charon = "strongswan-6.0.1"
    fail = cases[charon, "ike/init/unknown-critical"].find("failure")
    assert fail.get("type") == "7296-3.4-05"
    assert "expected" in fail.get("message")
    assert "IKE_AUTH" in fail.text  # the ladder
    assert cases[charon, "natt/keepalive"].find("error") is not None
    assert cases["builtin", "ike/rekey/child-collision"].find("skipped") is not None
    assert cases["builtin", "natt/keepalive"].find("skipped") is not None
    assert [child.tag for child in cases["builtin", "ike/auth/psk"]] == ["properties"]


def test_a_known_failure_is_skipped_and_a_fixed_one_fails(record: RunRecord) -> None:
    cases = _cases(junit.render(record))
    assert cases["strongswan-6.0.1", "ike/rekey/child-collision"].find("skipped") is not None
    assert "expected not to" in cases["strongswan-6.0.1", "ike/retransmit/same-octets"].find("failure").get("message")


def test_nonstrict_fails_only_when_strict(record: RunRecord) -> None:
    key = ("strongswan-6.0.1", "ike/auth/wrong-psk")
    assert _cases(junit.render(record))[key].find("failure") is None
    assert _cases(junit.render(record, strict=True))[key].find("failure") is not None


def test_octets_of_a_peer_cannot_break_the_xml(record: RunRecord) -> None:
    hostile = "]]>\x00\x1b<x>\ud800"
    check = CheckRecord("id", Level.MUST, 1, met=False, actual=hostile)
    case = replace(record.results[0], verdict=Verdict.FAIL, repro=hostile, checks=[check], notes=[hostile])
    XSD.validate(junit.render(replace(record, results=[case])))
