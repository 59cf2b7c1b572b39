"""JUnit XML for CI systems: one testsuite per peer and family, one testcase per case.

JUnit knows four endings only: fail becomes *failure*, inconclusive *error*, unsupported and skipped *skipped*;
nonstrict passes with a property, or fails where the caller asks for strictness.
"""

import re
import xml.etree.ElementTree as ET
from itertools import groupby

from ipsectest.runner.records import CaseRecord, Outcome, RunRecord
from ipsectest.scenario.results import Verdict

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(record: RunRecord, *, strict: bool = False) -> str:
    """The JUnit document as text."""
    root = ET.Element("testsuites", name="ipsectest", time=f"{record.run.duration_s:.3f}")
    ordered = sorted(record.results, key=lambda r: (r.peer, r.family, r.case_id))
    for (peer, family), group in groupby(ordered, key=lambda r: (r.peer, r.family)):
        _suite(root, record, f"{peer} {family}", list(group), strict=strict)
    suites = list(root)
    for attribute in ("tests", "failures", "errors"):
        root.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in suites)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(root: ET.Element, record: RunRecord, name: str, cases: list[CaseRecord], *, strict: bool) -> None:
    suite = ET.SubElement(root, "testsuite", name=_legal(name), timestamp=record.run.started.removesuffix("Z"))
    suite.set("time", f"{sum(c.duration_s for c in cases):.3f}")
    for case in cases:
        _testcase(suite, record, case, strict=strict)
    suite.set("tests", str(len(cases)))
    for attribute, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{element}"))))


def _testcase(suite: ET.Element, record: RunRecord, case: CaseRecord, *, strict: bool) -> None:
    dimensions = ",".join(f"{k}={v}" for k, v in sorted(case.dimensions.items()))
    inside = ",".join(part for part in (case.variant, dimensions) if part)
    element = ET.SubElement(suite, "testcase", classname=case.family, time=f"{case.duration_s:.3f}")
    element.set("name", _legal(f"{case.scenario}[{inside}]" if inside else case.scenario))
    scenario = record.scenarios.get(case.scenario)
    properties = ET.SubElement(element, "properties")
    values = {"verdict": case.verdict.value, "outcome": case.outcome.value, "repro": case.repro}
    values |= {"title": scenario.title, "cites": " ".join(scenario.cites)} if scenario else {}
    values |= {f"artifact.{name}": path for name, path in case.artifacts.items()}
    for name, value in values.items():
        ET.SubElement(properties, "property", name=_legal(name), value=_legal(value))
    _ending(element, case, strict=strict)


def _ending(element: ET.Element, case: CaseRecord, *, strict: bool) -> None:
    known = case.outcome is Outcome.AS_EXPECTED
    match case.verdict:
        case Verdict.FAIL if known and case.expectation:  # a known deviation must not turn the build red
            tag = "skipped"
        case Verdict.FAIL:
            tag = "failure"
        case Verdict.NONSTRICT:
            tag = "failure" if strict else "system-out"
        case Verdict.INCONCLUSIVE:
            tag = "error"
        case Verdict.UNSUPPORTED | Verdict.SKIPPED:
            tag = "skipped"
        case Verdict.PASS if case.outcome is Outcome.FIXED:
            tag = "failure"
        case _:
            return
    child = ET.SubElement(element, tag)
    if tag != "system-out":
        child.set("message", _legal(message(case)))
    if tag in {"failure", "error"}:
        child.set("type", next((c.requirement for c in case.checks if c.met is False), case.verdict.value))
    child.text = _legal(text(case))


def message(case: CaseRecord) -> str:
    """One line: what came and what was due."""
    if case.outcome is Outcome.FIXED:
        return f"passes, but is expected not to: {case.expectation}"
    if case.reason is None:
        return "; ".join(case.notes) or case.verdict.value
    parts = [case.reason.text] if case.reason.text else []
    if case.reason.expected:
        parts.append(f"expected {case.reason.expected}; actual {case.reason.actual or 'nothing'}")
    return ": ".join(parts) or case.verdict.value


def text(case: CaseRecord) -> str:
    """Reason and ladder for a reader of the raw XML."""
    lines = [message(case)]
    if case.reason:
        lines.append(f"at {case.reason.file}:{case.reason.line}")
    lines += [f"{rung.at:9.4f} {rung.direction} {rung.text}" for rung in case.ladder]
    lines.append(case.repro)
    return "\n".join(lines)


def _legal(value: str) -> str:
    """Replace what XML 1.0 cannot hold (section 2.2 there): a peer's log may carry any octet."""
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", value)
