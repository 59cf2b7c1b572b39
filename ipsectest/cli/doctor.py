"""Say what this machine can do, and which one command would add what it lacks."""

import dataclasses
import json
from argparse import ArgumentParser, Namespace

from rich.text import Text

from ipsectest.cli.console import open_console


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def execute(arguments: Namespace) -> int:
    """Print the findings; exit code 3 if something that runs need is missing."""
    from ipsectest.lab import doctor  # noqa: PLC0415
    from ipsectest.peers import rootfs  # noqa: PLC0415

    findings = doctor.examine(tree.name for tree in rootfs.installed())
    if arguments.json:
        print(json.dumps([dataclasses.asdict(f) for f in findings], indent=1))  # noqa: T201
    else:
        console = open_console()
        for finding in findings:
            mark = (
                Text("ok       ", "green") if finding.ok else Text("missing  ", "red" if finding.required else "yellow")
            )
            line = Text.assemble(mark, (f"{finding.ability:<20} ", "bold"), finding.detail or finding.purpose)
            console.print(line, soft_wrap=True)
            if not finding.ok:
                console.print(Text(f"         for {finding.purpose}: {finding.remedy}", "dim"), soft_wrap=True)
    return 3 if any(f.required and not f.ok for f in findings) else 0
