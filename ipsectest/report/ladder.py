"""The ladder of a case as SVG (colours come from the page's style sheet) and as plain text."""

import textwrap
from html import escape

from ipsectest.runner.records import AGAIN, RungRecord

_WIDTH = 940
_LEFT, _RIGHT = 110, 800  # x of the two lifelines, in pixels
_CHARS = 88  # characters of the label font between the lifelines
_LINE = 15  # height of one line of text, in pixels
_TOP = 46


def svg(rungs: list[RungRecord], tester: str, peer: str) -> str:
    """An ``<svg>`` element: time on the left, arrows between the lifelines, the tick of tagged lines on the right."""
    y = _TOP
    parts: list[str] = []
    for number, rung in enumerate(rungs, 1):
        part, height = _rung(number, rung, y)
        parts.append(part)
        y += height
    height = y + 16
    head = f'<svg class="ladder" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="Ladder of the exchange">'
    heads = "".join(
        f'<rect class="party" x="{x - 76}" y="6" width="152" height="24" rx="6"/>'
        f'<text class="party" x="{x}" y="22" text-anchor="middle">{escape(name)}</text>'
        f'<line class="life" x1="{x}" y1="30" x2="{x}" y2="{height}"/>'
        for x, name in ((_LEFT, tester), (_RIGHT, peer))
    )
    return head + heads + "".join(parts) + "</svg>"


def _rung(number: int, rung: RungRecord, y: int) -> tuple[str, int]:
    lines = textwrap.wrap(rung.text, _CHARS, max_lines=4, placeholder=" \N{HORIZONTAL ELLIPSIS}") or [""]
    middle = (_LEFT + _RIGHT) // 2
    base = y + _LINE * len(lines) + 6  # y of the arrow
    label = "".join(
        f'<tspan x="{middle}" y="{y + _LINE * (i + 1)}">{escape(line)}</tspan>' for i, line in enumerate(lines)
    )
    state = {True: "met", False: "unmet", None: "plain"}[rung.met]
    parts = [f'<g class="rung {state}"><title>{escape(rung.text)}</title>']
    if rung.direction == "--":
        box = f'x="{_LEFT + 40}" y="{y + 2}" width="{_RIGHT - _LEFT - 80}" height="{_LINE * len(lines) + 6}" rx="6"'
        parts.append(f'<rect class="note" {box}/><text class="label" text-anchor="middle">{label}</text>')
    else:
        parts.append(f'<text class="label" text-anchor="middle">{label}</text>{_arrow(rung.direction, base)}')
    parts.append(f'<text class="time" x="{_LEFT - 42}" y="{base + 4}" text-anchor="end">{_time(rung.at)}</text>')
    parts.append(_tick(rung, base))
    text = "".join(parts) + "</g>"
    if rung.details:
        text = f'<a href="#message-{number}">{text}</a>'
    return text, _LINE * len(lines) + 20


def _arrow(direction: str, y: int) -> str:
    start, end, back = (_LEFT, _RIGHT, -9) if direction == "->" else (_RIGHT, _LEFT, 9)
    return (
        f'<line class="arrow" x1="{start}" y1="{y}" x2="{end + back // 2}" y2="{y}"/>'
        f'<path class="head" d="M{end} {y} l{back} -5 v10 z"/>'
    )


def _tick(rung: RungRecord, y: int) -> str:
    sign = {True: "\N{CHECK MARK}", False: "\N{BALLOT X}", None: ""}[rung.met]
    line = f"line {rung.line}" if rung.line else "repeated" if rung.text.endswith(AGAIN) else ""
    return (
        f'<text class="tick" x="{_RIGHT + 24}" y="{y + 5}" text-anchor="middle">{sign}</text>'
        f'<text class="place" x="{_WIDTH - 6}" y="{y + 4}" text-anchor="end">{line}</text>'
    )


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.3f} s"


def plain(rungs: list[RungRecord]) -> str:
    """The ladder for ladder.txt: one line per rung."""
    tick = {True: " [met]", False: " [not met]", None: ""}
    return "".join(f"{_time(r.at):>10} {r.direction} {r.text}{tick[r.met]}\n" for r in rungs)
