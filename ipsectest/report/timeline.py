"""The SAs of a decryption as one HTML page: a bar for each from its first to its last packet, and a table.

The page refers to nothing outside itself, and the template escapes every text: names come from hostile files.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from ipsectest.report.decryption import problems

MOST_BARS = 500
"""SAs that are drawn, the earliest first; a page with more is no picture."""
_TEMPLATES = Path(__file__).with_name("templates")
_LEFT, _WIDTH, _ROW, _NARROWEST = 230, 700, 22, 3
_TOP = 24
"""Height of the axis that is repeated above the bars."""
_LONG = 20
"""Bars beyond which the axis below is out of sight."""
_INTERVALS = 4
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Bar:
    """An SA as it is drawn; ``state`` is good, lossy or failed, ``mark`` says it without colour."""

    sa: dict[str, Any]
    x: float
    y: int
    width: float
    state: str
    mark: str
    start: float
    """Seconds since the first packet of all."""
    end: float
    failed: int


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of the time axis."""

    x: float
    seconds: float
    anchor: str
    """Of its text, so that none leaves the picture."""


def page(found: dict[str, Any]) -> str:
    """The page of a ``decrypt.summary.summary``."""
    timed = sorted((sa for sa in found["sas"] if sa["first"] is not None), key=lambda sa: (sa["first"], sa["spi"]))
    shown = timed[:MOST_BARS]
    begin = min((sa["first"] for sa in shown), default=0)
    end = max((max(sa["first"], sa["last"]) for sa in shown), default=0)
    top = _TOP if len(shown) > _LONG else 0
    bars = [_bar(sa, top + row * _ROW, begin, end) for row, sa in enumerate(shown)]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("timeline.html.j2").render(
        found=found, bars=bars, hidden=len(timed) - len(shown), problems=problems(found),
        ticks=_ticks((end - begin) / _NANOSECONDS), left=_LEFT, width=_WIDTH, row=_ROW, top=top,
        height=_ROW * len(bars),
        never=[sa for sa in found["sas"] if sa["first"] is None],
    )  # fmt: skip


def _ticks(seconds: float) -> list[Tick]:
    anchors = ["start", *["middle"] * (_INTERVALS - 1), "end"]
    return [Tick(_LEFT + _WIDTH * n / _INTERVALS, seconds * n / _INTERVALS, anchor) for n, anchor in enumerate(anchors)]


def _bar(sa: dict[str, Any], y: int, begin: int, end: int) -> Bar:
    scale = _WIDTH / max(1, end - begin)
    # A clock that was set back leaves a last packet before the first.
    first, last = sa["first"], max(sa["first"], sa["last"])
    width = max(_NARROWEST, (last - first) * scale)
    failed = sum(sa["failures"].values())
    state, mark = ("failed", "✘") if failed else ("lossy", "!") if sa["lost"] or sa["replayed"] else ("good", "✔")
    return Bar(
        sa, round(min(_LEFT + (first - begin) * scale, _LEFT + _WIDTH - width), 1), y, round(width, 1),
        state, mark, (first - begin) / _NANOSECONDS, (last - begin) / _NANOSECONDS, failed,
    )  # fmt: skip
