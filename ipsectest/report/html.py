"""The HTML report: index.html with the matrix, and a page for each case beside its artifacts.

Static files that work from a folder, without a server and without anything from the network.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from ipsectest.report import ladder
from ipsectest.report.marks import MARKS, MEANINGS, MEANINGS_OF_CELLS
from ipsectest.runner.records import (
    CaseRecord,
    CheckRecord,
    LineRecord,
    Outcome,
    RungRecord,
    RunRecord,
    count,
    surprises,
)
from ipsectest.scenario.results import Verdict

_TEMPLATES = Path(__file__).with_name("templates")
_SHARED = ("report.css", "report.js")
"""Beside index.html; every page refers to them by a relative path."""
_FILE_TITLES = {
    "pcap": "capture (pcapng)",
    "ikev2_table": "Wireshark: IKEv2 decryption table",
    "esp_table": "Wireshark: ESP SAs",
    "keys": "keys (TOML)",
    "peer_log": "peer log",
    "peer_conf": "peer configuration",
    "ladder": "ladder (text)",
    "repro": "repro",
    "open": "open.sh: Wireshark with keys",
}


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case as the pages show it; `was` is its verdict in the older run if that differs."""

    case: CaseRecord
    title: str
    href: str
    words: str
    was: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Node:
    """A line of a decoded message and the deeper lines below it."""

    text: str
    children: list["Node"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ScriptLine:
    """A line of the script with its number in the file; `state` is met, unmet or empty."""

    number: int
    text: str
    state: str


def write(record: RunRecord, folder: Path, *, baseline: RunRecord | None = None) -> Path:
    """Write index.html and the case pages into folder; `baseline` is an older run to compare with."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    environment.globals.update(marks=MARKS, record=record, baseline=baseline, file_titles=_FILE_TITLES)
    views = _views(record, baseline)
    environment.globals["meanings"] = MEANINGS_OF_CELLS if _is_interop(views) else MEANINGS
    page = environment.get_template("case.html.j2")
    for position, view in enumerate(views):
        path = folder / view.case.folder / "index.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page.render(_case_context(record, views, position)), encoding="utf-8")
    for shared in _SHARED:
        (folder / shared).write_bytes((_TEMPLATES / shared).read_bytes())
    index = folder / "index.html"
    index.write_text(environment.get_template("index.html.j2").render(_index_context(record, views)), encoding="utf-8")
    return index


def _views(record: RunRecord, baseline: RunRecord | None) -> list[CaseView]:
    old = {(c.peer, c.case_id): c.verdict for c in baseline.results} if baseline else {}
    views = []
    for case in sorted(record.results, key=lambda c: (c.family, c.case_id, c.peer)):
        scenario = record.scenarios.get(case.scenario)
        title = scenario.title if scenario else _title(case)
        requirements = " ".join(check.requirement for check in case.checks)
        was = old.get((case.peer, case.case_id), "new") if baseline else ""
        was = "" if was == case.verdict else str(was)
        changed = bool(was) if baseline else case.outcome is not Outcome.AS_EXPECTED
        words = f"{case.case_id} {title} {requirements}".lower()
        views.append(CaseView(case, title, quote(f"{case.folder}/index.html"), words, was, changed))
    return views


def _title(case: CaseRecord) -> str:
    if case.ends is None:
        return case.scenario
    return "{initiator} to {responder}: {ike}, {esp}, {auth}, {mode}, {encapsulation}, {ip}".format(**case.dimensions)


def _is_interop(views: list[CaseView]) -> bool:
    return bool(views) and all(view.case.ends for view in views)


def _index_context(record: RunRecord, views: list[CaseView]) -> dict[str, Any]:
    names = sorted({view.case.peer for view in views})
    is_interop = _is_interop(views)
    peers = []
    for name in sorted({end for view in views for end in view.case.ends or (view.case.peer,)}):
        totals = count(v.case for v in views if name in (v.case.ends or (v.case.peer,)))
        version = record.peers[name].version if name in record.peers else ""
        entry: dict[str, Any] = {"name": name, "version": version, "counts": totals}
        entry |= {"passed": totals[Verdict.PASS], "total": sum(totals.values())}
        peers.append(entry)
    row, column = (0, 1) if is_interop else (2, 3)

    def place(view: CaseView) -> tuple[str, ...]:
        return *(view.case.ends or ("", "")), view.case.family, view.case.peer

    columns = sorted({place(view)[column] for view in views})
    matrix = {
        name: {other: [v for v in members if place(v)[column] == other] for other in columns}
        for name, members in _grouped(views, lambda v: place(v)[row])
    }
    regressions, fixed, inconclusive = surprises(record.results)
    order = sorted(record.coverage, key=lambda s: (s.rfc.zfill(6), [n.zfill(4) for n in s.section.split(".")]))
    return {
        "up": "",
        "peers": peers,
        "names": names,
        "columns": columns,
        "is_interop": is_interop,
        "matrix": matrix,
        "views": sorted(views, key=lambda v: v.case.verdict is Verdict.PASS and not v.changed),
        "verdicts": list(Verdict),
        "totals": count(record.results),
        "regressions": regressions,
        "fixed": fixed,
        "inconclusive": inconclusive,
        "coverage": {rfc: list(sections) for rfc, sections in groupby(order, key=lambda s: s.rfc)},
    }


def _case_context(record: RunRecord, views: list[CaseView], position: int) -> dict[str, Any]:
    view = views[position]
    case = view.case
    scenario = record.scenarios.get(case.scenario)
    messages = [
        {"number": number, "rung": rung, "nodes": tree(rung.details)}
        for number, rung in enumerate(case.ladder, 1)
        if rung.details
    ]
    return {
        "case": case,
        "scenario": scenario,
        "title": view.title,
        "why": [" ".join(part.split()) for part in (scenario.why if scenario else _why(case)).split("\n\n")],
        "was": view.was,
        "up": "../" * (case.folder.count("/") + 1),
        "state": _state,
        "ladder": ladder.svg(case.ladder, *(case.ends or ("ipsectest", case.peer))),
        "lines": _script(scenario.script, scenario.script_line, case.ladder, case.checks) if scenario else [],
        "messages": messages,
        "others": [v for v in views if v is not view and _is_same_case(v.case, case)],
        "previous": views[position - 1].href if position else "",
        "following": views[position + 1].href if position + 1 < len(views) else "",
    }


def _why(case: CaseRecord) -> str:
    if case.ends is None:
        return ""
    return (
        "The initiator sets up a tunnel and rekeys the Child SA, the responder rekeys the IKE SA, the initiator "
        "deletes it. After each step pings must cross in both directions, and both ends must report the same SAs, "
        "of the suites that were asked for. Nothing but IKE and ESP or AH may be on the wire."
    )


def _is_same_case(one: CaseRecord, other: CaseRecord) -> bool:
    return one.scenario == other.scenario and (other.ends is None or one.variant == other.variant)


def _state(check: CheckRecord) -> Verdict:
    """The mark of one tagged line: what the line alone would make of the case."""
    if check.met is None:
        return Verdict.SKIPPED
    return Verdict.PASS if check.met else (check.level.verdict_if_unmet if check.level != "INFO" else Verdict.SKIPPED)


def _script(text: str, first: int, rungs: list[RungRecord], checks: list[CheckRecord]) -> list[ScriptLine]:
    states = {rung.line: "met" for rung in rungs if rung.met} | {c.line: "met" for c in checks if c.met}
    states |= {r.line: "unmet" for r in rungs if r.met is False} | {c.line: "unmet" for c in checks if c.met is False}
    lines = text.rstrip("\n").split("\n")
    return [ScriptLine(n, line, states.get(n, "")) for n, line in enumerate(lines, first)]


def tree(lines: list[LineRecord]) -> list[Node]:
    """Nest flat (depth, text) lines; a line deeper by more than one still hangs below the line before it."""
    roots: list[Node] = []
    path: list[tuple[int, Node]] = []
    for line in lines:
        node = Node(line.text)
        while path and path[-1][0] >= line.depth:
            path.pop()
        (path[-1][1].children if path else roots).append(node)
        path.append((line.depth, node))
    return roots


def _grouped(views: list[CaseView], key: Callable[[CaseView], str]) -> list[tuple[str, list[CaseView]]]:
    return [(name, list(members)) for name, members in groupby(sorted(views, key=key), key=key)]
