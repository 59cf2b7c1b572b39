"""The topologies that commands take: shipped ones by name, others by file."""

from pathlib import Path
from typing import TYPE_CHECKING

from ipsectest.base.errors import UsageError

if TYPE_CHECKING:
    from ipsectest.lab.topology import Topology


def load(name: str) -> "Topology":
    """One of them; UsageError says what there is, InputError what is wrong with a file."""
    from ipsectest.lab.topology import Topology, shipped  # noqa: PLC0415

    known = shipped()
    if name not in known and not name.endswith(".toml"):
        raise UsageError(f"there is no topology {name!r}: {', '.join(known)}, or a .toml file")
    return Topology.load(known.get(name, Path(name)))


def show(*, as_json: bool) -> None:
    """A table of those that are shipped."""
    import json  # noqa: PLC0415

    from ipsectest.lab.topology import Topology, shipped  # noqa: PLC0415

    found = [(path, Topology.load(path)) for path in shipped().values()]
    if as_json:
        told = [
            {"name": one.name, "title": one.title, "why": one.why, "nodes": list(one.nodes), "file": str(path)}
            for path, one in found
        ]
        print(json.dumps(told, indent=1))  # noqa: T201
        return
    from rich.table import Table  # noqa: PLC0415

    from ipsectest.cli.console import open_console  # noqa: PLC0415

    table = Table("name", "title", "nodes", box=None, pad_edge=False, header_style="bold")
    for _, one in found:
        table.add_row(one.name, f"{one.title}\n[dim]{one.why}[/]", " ".join(one.nodes))
    console = open_console(highlight=False)
    console.print(table)
    console.print(f"files: {found[0][0].parent}; ipsectest lab up takes a name or a file", style="dim", soft_wrap=True)
