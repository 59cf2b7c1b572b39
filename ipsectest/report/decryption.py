"""The summary of a decryption on a terminal: totals, a table of SAs, and what stayed closed."""

from collections import Counter, defaultdict
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
_MOST_IKE = 20
_WIDE = 120
"""Columns from which on every count is shown."""


def render(found: dict[str, Any], console: Console) -> None:
    """Print a ``decrypt.summary.summary``."""
    ike = found["ike"]
    console.print(
        f"{found['frames']:,} frames: {found['opened']:,} packets of ESP or AH opened, {_ike(ike)}"
        f"{', ' if found['rekeys'] else ''}{rekeys_in_words(found)}"
    )
    if found["ike_sas"]:
        console.print(_ike_table(found, console.width))
    if len(found["ike_sas"]) > _MOST_IKE:
        console.print(f"and {len(found['ike_sas']) - _MOST_IKE:,} more IKE SAs (--json has them all)")
    if found["sas"]:
        console.print(_table(found, console.width))
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


def rekeys_in_words(found: dict[str, Any]) -> str:
    """How many of which, and how many are guessed; empty without any."""
    kinds = {"IKE": "IKE SAs", "ESP": "ESP SAs", "AH": "AH SAs"}
    counts = [
        f"{count:,} {'rekey' if count == 1 else 'rekeys'} of {name}{' (a guess by the times)' if guess else ''}"
        for protocol, name in kinds.items()
        for guess in (False, True)
        if (count := sum((one["protocol"], one["guess"]) == (protocol, guess) for one in found["rekeys"]))
    ]
    return ", ".join(counts)


def named(sa: dict[str, Any]) -> tuple[str, str, str]:
    """What tells an SA of ``sas`` from others."""
    return sa["protocol"], sa["destination"], sa["spi"]


def successors(found: dict[str, Any]) -> dict[tuple[str, str, str], list[str]]:
    """SPIs of the SAs that took the place of another in its direction; ``?`` where the times alone say so."""
    followed: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for sa in found["sas"]:
        if sa["replaces"]:
            followed[sa["protocol"], sa["destination"], sa["replaces"]].append(
                f"{sa['spi']}{'?' if sa['guess'] else ''}"
            )
    return followed


def _ike_table(found: dict[str, Any], width: int) -> Table:
    sas = found["ike_sas"][:_MOST_IKE]
    replaced_by = {sa["replaces"]: sa["spi_i"] for sa in found["ike_sas"]}
    children = Counter(child["ike"] for child in found["child_sas"])
    names = {"messages": "messages", "retransmitted": "repeated", "closed": "closed"}
    is_wide = width >= _WIDE
    if not is_wide:
        names = {key: name for key, name in names.items() if key == "messages" or any(sa[key] for sa in sas)}
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("IKE SA (SPIi)", no_wrap=True)
    table.add_column("initiator > responder" if is_wide else "ends", overflow="fold")
    if is_wide:
        table.add_column("suite", overflow="fold")
    for name in (*names.values(), *(["Child SAs"] if is_wide else [])):
        table.add_column(name, justify="right", no_wrap=True)
    rekeyed = any(sa["replaces"] for sa in sas)
    if rekeyed:
        table.add_column("rekeyed to", no_wrap=True)
    for sa in sas:
        name = f"{sa['spi_i']}:{sa['spi_r']}"
        table.add_row(
            GOOD if not sa["closed"] else BAD if sa["closed"] == sa["messages"] else MARK,
            f"{sa['spi_i']}{'' if sa['version'] == 2 else ' IKEv1'}",
            f"{sa['initiator']} > {sa['responder']}",
            *([sa["suite"]] if is_wide else []),
            *(f"{sa[key]:,}" for key in names),
            *([f"{children[name]:,}"] if is_wide else []),
            *([replaced_by.get(name, "")] if rekeyed else []),
        )
    return table


def _ike(ike: dict[str, int]) -> str:
    return f"{ike['messages']:,} IKE messages, {ike['opened']:,} of them decrypted"


def _table(found: dict[str, Any], width: int) -> Table:
    sas = found["sas"][:_MOST_ROWS]
    counts = ["packets", "octets", "lost", "late", "replayed", "failed"]
    rows = [(sa, {**sa, "failed": sum(sa["failures"].values())}) for sa in sas]
    if width < _WIDE:
        counts = [
            name
            for name in counts
            if name in {"packets", "lost"} or (name != "octets" and any(row[name] for _, row in rows))
        ]
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("SPI", no_wrap=True)
    table.add_column("way", overflow="fold")
    table.add_column("suite", overflow="fold")
    for name in counts:
        table.add_column(name, justify="right", no_wrap=True)
    followed = successors(found)
    if followed:
        table.add_column("rekeyed to", no_wrap=True)
    for sa, row in rows:
        failed = row["failed"]
        table.add_row(
            GOOD if sa["packets"] and not failed else BAD if failed and not sa["packets"] else MARK,
            f"{sa['protocol']} {sa['spi']}",
            f"{sa['source'] or 'any'} > {sa['destination'] or 'any'}",
            f"{sa['suite']}{' esn' if sa['esn'] else ''}{'' if sa['verified'] else ' (unchecked)'}",
            *(f"{row[name]:,}" for name in counts),
            *([" ".join(followed[named(sa)])] if followed else []),
        )
    return table
