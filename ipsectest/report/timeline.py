"""The SAs of a decryption as one HTML page: rows in time, with rekeys, losses and failures where they were, and tables.

The page refers to nothing outside itself, and the template escapes every text: names come from hostile files.
"""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

import jinja2

from ipsectest.report.decryption import named, problems, rekeys_in_words, successors
from ipsectest.report.timeline_axis import NANOSECONDS, in_words
from ipsectest.report.timeline_drawing import ABOVE, BESIDE, draw
from ipsectest.report.timeline_rows import Row, links, rows

MOST_BARS = 500
"""Rows that are drawn, and that a table has; a page with more is no picture."""
MOST_REKEYS = 500
_TEMPLATES = Path(__file__).with_name("templates")


def page(found: dict[str, Any]) -> str:
    """The page of a ``decrypt.summary.summary``."""
    every = rows(found)
    shown = every[:MOST_BARS]
    begin = min((row.born for row in shown), default=0)
    end = max((max(row.born, row.dead, row.last or 0) for row in shown), default=0)
    told = links(found)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("timeline.html.j2").render(
        found=found,
        name=name_of(found["captures"]),
        began=_clock(begin),
        lasted=in_words((end - begin) / NANOSECONDS) if end > begin else "",
        rekeyed=rekeys_in_words(found),
        sums=_sums(found),
        drawings=[draw(shown, told, begin, end, form) for form in (BESIDE, ABOVE)] if shown else [],
        rows=shown,
        hidden=len(every) - len(shown),
        sas=[_sa(sa, begin) for sa in _in_order(found, every)[:MOST_BARS]],
        most=MOST_BARS,
        most_rekeys=MOST_REKEYS,
        since=lambda at: f"{(at - begin) / NANOSECONDS:.3f}",
        followed=successors(found),
        named=named,
        ike_followed={sa["replaces"]: sa["spi_i"] for sa in found["ike_sas"] if sa["replaces"]},
        made=Counter(child["ike"] for child in found["child_sas"]),
        problems=problems(found),
        never=[sa for sa in found["sas"] if sa["first"] is None],
    )


def name_of(captures: list[str]) -> str:
    """What the page is called."""
    if not captures or captures == ["-"]:
        return "Capture"
    first = PurePath(captures[0]).name or captures[0]
    return first if len(captures) == 1 else f"{first} and {len(captures) - 1} more"


def _clock(nanoseconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(nanoseconds // NANOSECONDS, UTC):%Y-%m-%d %H:%M:%S} UTC" if nanoseconds else ""
    except (ValueError, OverflowError, OSError):  # what a file says may be no date
        return ""


def _in_order(found: dict[str, Any], every: list[Row]) -> list[dict[str, Any]]:
    place = {row.key: number for number, row in enumerate(every)}
    timed = [sa for sa in found["sas"] if sa["first"] is not None]
    return sorted(timed, key=lambda sa: place.get(named(sa), len(place)))


def _sa(sa: dict[str, Any], begin: int) -> dict[str, Any]:
    failed = sum(sa["failures"].values())
    state, mark = ("failed", "✘") if failed else ("lossy", "!") if sa["lost"] or sa["replayed"] else ("good", "✔")
    last = max(sa["first"], sa["last"])
    return {
        **sa, "state": state, "mark": mark, "failed": failed,
        "start": (sa["first"] - begin) / NANOSECONDS, "end": (last - begin) / NANOSECONDS,
    }  # fmt: skip


def _sums(found: dict[str, Any]) -> list[tuple[str, int, str]]:
    """(what, how many, state) of the tiles."""
    sas = found["sas"]
    lost, replayed = (sum(sa[name] for sa in sas) for name in ("lost", "replayed"))
    failed = sum(sum(sa["failures"].values()) for sa in sas)
    return [
        ("frames", found["frames"], ""),
        ("packets opened", found["opened"], ""),
        ("IKE SAs", len(found["ike_sas"]), ""),
        ("ESP and AH SAs", len(sas), ""),
        ("rekeys", len(found["rekeys"]), ""),
        ("lost", lost, "lossy" if lost else ""),
        ("replayed", replayed, "replayed" if replayed else ""),
        ("did not open", failed, "failed" if failed else ""),
    ]
