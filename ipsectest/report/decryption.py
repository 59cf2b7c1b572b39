"""The summary of a decryption on a terminal: totals, a table of SAs, and what stayed closed."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

GOOD, BAD, MARK = "[green]✔[/]", "[red]✘[/]", "[yellow]![/]"
_NOT_ENOUGH = (
    "their keys come of a Diffie-Hellman secret that is never sent (RFC 7296 section 2.14), so a capture is not "
    "enough, nor is a pre-shared key, which authenticates only (2.15): docs/keys.md tells what to take instead"
)
_MOST_ROWS = 50
_WIDE = 120
"""Columns from which on every count is shown."""


def render(found: dict[str, Any], console: Console) -> None:
    """Print a ``decrypt.summary.summary``."""
    ike = found["ike"]
    console.print(f"{found['frames']:,} frames: {found['opened']:,} packets of ESP or AH opened, {_ike(ike)}")
    if found["sas"]:
        console.print(_table(found["sas"][:_MOST_ROWS], console.width))
    hidden = len(found["sas"]) - _MOST_ROWS
    if hidden > 0:
        console.print(f"and {hidden:,} more SAs (--json has them all)")
    for line in problems(found):
        console.print(f"{MARK} {escape(line)}")
    if not found["opened"] and not ike["opened"]:
        console.print(f"{BAD} nothing was decrypted")


def problems(found: dict[str, Any]) -> list[str]:
    """What did not open or was noticed, a line each."""
    lines = [
        f"{count:,} packets did not open: {reason.replace('-', ' ')}"
        for reason, count in found["closed"].items()
        if reason != "unknown-spi"  # told SA by SA
    ]
    lines += [
        f"no keys for {one['protocol']} SPI {one['spi']} {one['source']} > {one['destination']}: "
        f"{one['packets']:,} packets"
        for one in found["unknown"]
    ]
    lines += [f"{one['origin']}: {one['sa']} cannot be used: {one['why']}" for one in found["unusable"]]
    if found["ike"]["closed"]:
        lines.append(f"{found['ike']['closed']:,} IKE messages stayed closed")
        if not found["ike"]["opened"]:
            lines[-1] += f": {_NOT_ENOUGH}"
    if found["truncated"]:
        lines.append(f"{found['truncated']:,} frames were captured in part only: capture with a larger snap length")
    lines += [f"{count:,} frames without IP: {reason}" for reason, count in found["without_ip"].items()]
    return [*lines, *found["notes"]]


def _ike(ike: dict[str, int]) -> str:
    return f"{ike['messages']:,} IKE messages, {ike['opened']:,} of them decrypted"


def _table(sas: list[dict[str, Any]], width: int) -> Table:
    counts = ["packets", "octets", "lost", "late", "replayed"]
    if width < _WIDE:
        counts = [
            name for name in counts if name in {"packets", "lost"} or any(sa[name] for sa in sas if name != "octets")
        ]
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("SPI", no_wrap=True)
    table.add_column("way", overflow="fold")
    table.add_column("suite", overflow="fold")
    for name in (*counts, "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for sa in sas:
        failed = sum(sa["failures"].values())
        table.add_row(
            GOOD if sa["packets"] and not failed else BAD if failed and not sa["packets"] else MARK,
            f"{sa['protocol']} {sa['spi']}",
            f"{sa['source'] or 'any'} > {sa['destination'] or 'any'}",
            f"{sa['suite']}{' esn' if sa['esn'] else ''}{'' if sa['verified'] else ' (unchecked)'}",
            *(f"{sa[name]:,}" for name in counts),
            f"{failed:,}",
        )
    return table
