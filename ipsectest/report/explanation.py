"""An explanation on a terminal: a ladder for each IKE SA, what was agreed, and the findings at the end."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

_MARKS = {"failure": "[red]✘[/]", "warning": "[yellow]![/]", "note": "[cyan]i[/]", "fine": "[green]✔[/]"}
_STATES = {True: "[green]established[/]", False: "[red]not established[/]", None: "[dim]set up before the capture[/]"}
_MOST_STORIES = 5
_MOST_RUNGS = 24
_MOST_FLOWS = 8


def render(told: dict[str, Any], console: Console, *, everything: bool = False) -> None:
    """Print an ``explain.explanation.Explanation`` as JSON has it."""
    stories = told["sas"] if everything else _worth(told["sas"])
    for story in stories:
        _story(story, console, everything=everything)
    hidden = [one for one in told["sas"] if one not in stories]
    if hidden:
        files = ", ".join(sorted({one["file"] for one in hidden}))
        console.print(f"[dim]more ladders in {escape(files)} (--all shows them)[/]\n")
    _traffic(told["traffic"], console)
    for number, finding in enumerate(told["findings"]):
        if number:
            console.print()
        _finding(finding, console)
    for note in told["notes"]:
        console.print(f"[yellow]![/] {escape(note)}")


def _worth(stories: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that failed first; of several files that tell of the same two ends the most detailed one."""
    best: dict[tuple[str, ...], str] = {}
    for story in sorted(stories, key=lambda one: (one["kind"] != "frame", -len(one["ladder"]))):
        best.setdefault(tuple(sorted(story["ends"])), story["file"])
    stories = [one for one in stories if best[tuple(sorted(one["ends"]))] == one["file"]]
    failed = [one for one in stories if one["established"] is False]
    kept = (failed or stories)[:_MOST_STORIES]
    return [one for one in stories if one in kept] if len(stories) > _MOST_STORIES else stories


def _story(story: dict[str, Any], console: Console, *, everything: bool) -> None:
    state = _STATES[story["established"]]
    spi = f" · [dim]SPI {story['spi_i']}[/]" if story["spi_i"] else ""
    console.print(f"[bold]IKE SA {escape(story['title'])}[/] · {state} · {escape(story['file'])}{spi}")
    ladder = story["ladder"]
    shown = ladder if everything or len(ladder) <= _MOST_RUNGS else ladder[: _MOST_RUNGS // 2]
    rest = [] if shown is ladder else ladder[-_MOST_RUNGS // 2 :]
    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    grid.add_column(justify="right", style="dim", no_wrap=True)
    grid.add_column(justify="right", style="dim", no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    start = ladder[0]["nanoseconds"] if ladder else 0
    for rung in shown:
        grid.add_row(*_rung(rung, start))
    if rest:
        grid.add_row("", "", "…", f"[dim]{len(ladder) - _MOST_RUNGS} more messages (--all shows them)[/]")
        for rung in rest:
            grid.add_row(*_rung(rung, start))
    console.print(Padding(grid, (0, 0, 0, 2), expand=False))
    if story["agreed"]:
        console.print(Padding(_agreements(story["agreed"]), (0, 0, 0, 2), expand=False))
    console.print()


def _rung(rung: dict[str, Any], start: int) -> tuple[str, str, str, str]:
    arrow = "──▶" if rung["to_right"] else "◀──"
    text = escape(rung["text"])
    if rung["error"]:
        text = f"[red]{text}[/]"
    if rung["times"] > 1:
        text += f" [yellow]x{rung['times']} in {rung['seconds']:.1f} s[/]"
    if rung["unanswered"]:
        text += " [yellow](no answer)[/]"
    port = (
        rung["destination"].rpartition(":")[2]
        if rung["destination"].count(":") in {1, 8} or "]" in rung["destination"]
        else ""
    )
    return str(rung["number"]), f"{(rung['nanoseconds'] - start) / 1e9:.3f}", f"{arrow} {port}", text


def _agreements(agreed: list[dict[str, Any]]) -> Table:
    """What was settled: a row for each IKE SA and Child SA."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for one in agreed[:_MOST_RUNGS]:
        ways = " === ".join(", ".join(side) for side in one["selectors"] if side)
        spis = "/".join(one["spis"]) if one["protocol"] != "IKE" else ""
        packets = "{:,} ▶ ◀ {:,}".format(*one["packets"]) if one["packets"] else ""
        state = [one["mode"] if one["mode"] != "tunnel" else "", "rekeyed" if one["rekey"] else "", packets]
        state.append(f"deleted in frame {one['deleted']}" if one["deleted"] else "")
        table.add_row(
            one["protocol"],
            escape(one["suite"].removesuffix("-noesn")),
            escape(ways or spis),
            ", ".join(part for part in state if part),
        )
    return table


def _traffic(flows: list[dict[str, Any]], console: Console) -> None:
    """ESP and AH of SAs that no readable exchange made."""
    for one in flows[:_MOST_FLOWS]:
        marks = "".join(f", {one[name]:,} {name}" for name in ("lost", "replayed") if one[name])
        name = f"{one['protocol']}{' in UDP' if one['in_udp'] else ''}"
        ends = f"{one['source']} > {one['destination']}"
        text = f"{name} {one['spi']}  {ends}  {one['packets']:,} packets{marks}"
        console.print(Padding(escape(text), (0, 0, 0, 2), expand=False))
    if flows:
        rest = len(flows) - _MOST_FLOWS
        console.print(Padding(f"[dim]and {rest} more[/]", (0, 0, 0, 2), expand=False) if rest > 0 else "")


def _finding(finding: dict[str, Any], console: Console) -> None:
    likely = " [dim](likely)[/]" if finding["certainty"] == "likely" else ""
    console.print(f"{_MARKS[finding['severity']]} [bold]{escape(finding['title'])}[/]{likely}")
    body = []
    if finding["text"]:
        who = "" if finding["who"] in finding["text"] else f"{finding['who']}: "
        body.append(escape(f"{who}{finding['text']}"))
    for difference in finding["differences"]:
        for side, value in difference["values"].items():
            body.append(f"[dim]{escape(side)}:[/] {escape(value)}")
    for line in body:
        console.print(Padding(line, (0, 0, 0, 2), expand=False))
    for line in finding["change"]:
        console.print(Padding(f"[green]→[/] {escape(line)}", (0, 0, 0, 2), expand=False))
    sources = ", ".join(_place(one) for one in finding["evidence"])
    law = " ".join(
        part for part in (finding["clause"], f"[{finding['requirement']}]" if finding["requirement"] else "") if part
    )
    tail = " · ".join(part for part in (sources, law) if part)
    if tail:
        console.print(Padding(f"[dim]{escape(tail)}[/]", (0, 0, 0, 2), expand=False))


def _place(evidence: dict[str, Any]) -> str:
    return f"frame {evidence['frame']}" if "frame" in evidence else f"{evidence['file']}:{evidence['line']}"
