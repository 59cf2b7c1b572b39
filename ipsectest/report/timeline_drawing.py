"""Rows as shapes of an SVG drawing, in one of two forms: labels beside the bars, or above them for narrow screens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ipsectest.report.timeline_axis import Axis
from ipsectest.report.timeline_rows import Key, Link, Row

_THINNEST, _NARROWEST = 2.0, 3.0
MOST_TICKS = 10_000
"""Marks in a drawing; of rows beyond it the bars alone are drawn."""


@dataclass(frozen=True, slots=True)
class Form:
    """Measures in units of the picture."""

    name: str
    left: int
    width: int
    row: int
    bar: int
    """From the top of a row to the middle of its bar."""
    label: int
    """To the foot of its text."""
    ticks: int


BESIDE = Form("beside", 330, 850, 26, 13, 17, 8)
ABOVE = Form("above", 4, 452, 44, 32, 16, 4)
_TOP, _RIGHT, _HALF = 26, 16, 6


@dataclass(frozen=True, slots=True)
class Shape:
    """One row as it is drawn."""

    row: Row
    y: int
    middle: int
    line: tuple[float, float]
    """From where to where it lived."""
    bar: tuple[float, float] | None
    """x and width of what it carried."""
    ticks: dict[str, str]
    """SVG path of the marks of each kind."""


@dataclass(frozen=True, slots=True)
class Elbow:
    """A connector from an old row to a new one."""

    path: str
    head: str
    guess: bool
    title: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything that the template places."""

    form: Form
    width: int
    height: int
    top: int
    shapes: list[Shape]
    elbows: list[Elbow]
    axis: list[tuple[float, str, Literal["start", "middle", "end"]]]


def draw(rows: Sequence[Row], links: Sequence[Link], begin: int, end: int, form: Form) -> Drawing:
    """Bounded by the number of rows, which the caller bounds, and by ``MOST_TICKS``."""
    axis = Axis(begin, end, form.left, form.width)
    spare = MOST_TICKS
    shapes = []
    for number, row in enumerate(rows):
        spare -= sum(map(len, row.marks.values()))
        shapes.append(_shape(row, _TOP + number * form.row, axis, form, with_ticks=spare >= 0))
    places = {shape.row.key: shape for shape in shapes}
    return Drawing(
        form, form.left + form.width + _RIGHT, _TOP + len(rows) * form.row + _TOP, _TOP, shapes,
        [elbow for link in links if (elbow := _elbow(link, places, axis))],
        [(x, text, _anchor(x, form)) for x, text in axis.ticks(form.ticks)],
    )  # fmt: skip


def _anchor(x: float, form: Form) -> Literal["start", "middle", "end"]:
    margin = form.width / 20
    return "start" if x < form.left + margin else "end" if x > form.left + form.width - margin else "middle"


def _shape(row: Row, y: int, axis: Axis, form: Form, *, with_ticks: bool) -> Shape:
    middle, bar = y + form.bar, None
    if row.first is not None and row.last is not None:
        x, until = axis.x(row.first), axis.x(row.last)
        width = max(_NARROWEST, until - x)
        bar = round(min(x, axis.left + axis.width - width), 1), round(width, 1)
    ticks = {
        kind: "".join(_tick(kind, mark, axis, middle) for mark in marks)
        for kind, marks in row.marks.items()
        if marks and with_ticks
    }
    return Shape(row, y, middle, (axis.x(row.born), axis.x(max(row.dead, row.born))), bar, ticks)


def _tick(kind: str, mark: list[int], axis: Axis, middle: int) -> str:
    """Loss cuts through the bar; what came again stands above it, what did not open hangs below."""
    x, until = axis.x(mark[0]), axis.x(mark[1])
    width = max(_THINNEST, until - x)
    top, height = {"lost": (-_HALF, 2 * _HALF), "failed": (_HALF - 2, 7)}.get(kind, (-_HALF - 5, 7))
    return f"M{x:g} {middle + top}h{width:.4g}v{height}h-{width:.4g}z"


def _elbow(link: Link, places: dict[Key, Shape], axis: Axis) -> Elbow | None:
    old, new = places.get(link.old), places.get(link.new)
    if old is None or new is None or old is new:
        return None
    x, down = axis.x(link.at), new.middle > old.middle
    tip = new.middle - (_HALF if down else -_HALF)
    start = min(x, old.line[1])
    edge = tip - (5 if down else -5)
    path = f"M{start:g} {old.middle}H{x:g}V{edge}"
    head = f"M{x - 4:g} {edge}h8L{x:g} {tip}z"
    words = "perhaps rekeyed to" if link.guess else "rekeyed to"
    return Elbow(path, head, link.guess, f"{old.row.name} {words} {new.row.name}")
