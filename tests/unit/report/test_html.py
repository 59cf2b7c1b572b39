import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from ipsectest.report import html, ladder
from ipsectest.runner.records import LineRecord, RungRecord, RunRecord
from ipsectest.scenario.results import Verdict

VOID = {"meta", "link", "input", "br"}


class Outline(HTMLParser):
    """Checks nesting and collects links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "a":
            self.links.append(attributes["href"])
        self.loaded += [attributes[k] for k in ("src",) if k in attributes]
        self.loaded += [attributes["href"]] if tag == "link" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _outline(path: Path) -> Outline:
    outline = Outline()
    outline.feed(path.read_text())
    outline.close()
    assert outline.open == []
    return outline


def test_pages_nest_load_nothing_from_elsewhere_and_link_to_what_exists(record: RunRecord, tmp_path: Path) -> None:
    index = html.write(record, tmp_path)
    for case in record.results:
        for artifact in case.artifacts.values():
            (tmp_path / artifact).write_text("")
    (tmp_path / "report.json").write_text("")
    (tmp_path / "junit.xml").write_text("")
    pages = [index, *tmp_path.glob("cases/**/index.html")]
    assert len(pages) == 1 + len(record.results)
    assert not re.search(r"url\(|@import|https?:", (tmp_path / "report.css").read_text())
    for page in pages:
        outline = _outline(page)
        loaded = [(page.parent / address).resolve() for address in outline.loaded if address != "data:,"]
        assert loaded == [tmp_path / "report.css", tmp_path / "report.js"]
        assert not re.search(r"url\(|@import", page.read_text())
        for link in outline.links:
            if link.startswith("#"):
                assert f'id="{link[1:]}"' in page.read_text()
            elif not link.startswith("https://www.rfc-editor.org/rfc/"):
                assert (page.parent / unquote(link)).exists(), link


def test_every_case_has_a_chip(record: RunRecord, tmp_path: Path) -> None:
    text = html.write(record, tmp_path).read_text()
    assert text.count('class="chip ') == len(record.results)


def test_text_of_peers_and_files_is_escaped(record: RunRecord, tmp_path: Path) -> None:
    attack = '"><script>alert(1)</script>'
    first = record.results[0]
    rung = RungRecord(0, "<-", attack, 1, details=[LineRecord(0, attack)])
    case = replace(first, verdict=Verdict.FAIL, repro=attack, notes=[attack], ladder=[rung], expectation=attack)
    scenario = replace(record.scenarios[case.scenario], title=attack, why=attack, script=attack)
    changed = replace(record, results=[case], scenarios={case.scenario: scenario})
    html.write(changed, tmp_path)
    for page in tmp_path.rglob("*.html"):
        assert "<script>alert" not in page.read_text()


def test_a_comparison_marks_only_what_changed(record: RunRecord, tmp_path: Path) -> None:
    older = replace(record, results=[replace(c, verdict=Verdict.PASS) for c in record.results[:-1]])
    text = html.write(record, tmp_path, baseline=older).read_text()
    changed = [c for c in record.results[:-1] if c.verdict is not Verdict.PASS]
    assert text.count(' same"') == len(record.results) - len(changed) - 1
    assert "was new" in text


@pytest.mark.parametrize("depths", [[0, 1, 2, 1, 0], [3, 3], [0, 2, 1], []])
def test_decoded_lines_are_nested_without_loss(depths: list[int]) -> None:
    lines = [LineRecord(depth, str(n)) for n, depth in enumerate(depths)]

    def flat(nodes: list[html.Node]) -> list[str]:
        return [text for node in nodes for text in (node.text, *flat(node.children))]

    assert flat(html.tree(lines)) == [line.text for line in lines]


def test_deeper_lines_hang_below_shallower_ones() -> None:
    root, last = html.tree([LineRecord(0, "a"), LineRecord(1, "b"), LineRecord(2, "c"), LineRecord(0, "d")])
    assert (root.text, root.children[0].text, root.children[0].children[0].text) == ("a", "b", "c")
    assert last.children == []


def test_only_retransmissions_are_marked_as_repeated() -> None:
    rungs = [RungRecord(0, "->", "IKE_AUTH"), RungRecord(1, "->", "IKE_AUTH (again)"), RungRecord(2, "<-", "x", 3)]
    assert [text in ladder.svg(rungs, "us", "them") for text in (">repeated<", ">line 3<")] == [True, True]
    assert ladder.svg(rungs, "us", "them").count("repeated") == 1


def test_a_long_rung_is_wrapped_and_bounded() -> None:
    text = ladder.svg([RungRecord(0, "->", "N(COOKIE) " * 200)], "us", "them")
    assert 1 < text.count("<tspan") <= 4
