"""Show or convert keys of IPsec: Wireshark's tables, daemon logs, ip xfrm state, tcpdump -E, ... into one another.

The notation of each input is found out from its content. New files are readable by their owner only. What the target
cannot hold is told, one line for each SA. Exit code 2 if a line of the input was wrong; all others are used.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ipsectest.base.errors import UsageError
from ipsectest.decrypt.keys import convert, detect
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.keys.source import STANDARD_INPUT

_SHOWN_PROBLEMS = 20
_INPUT = "key file, log, folder, or - for standard input"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parsers = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    shown = parsers.add_parser("show", help="list the SAs that a file has keys of")
    shown.add_argument("inputs", nargs="+", type=Path, metavar="IN", help=_INPUT)
    shown.add_argument("--secrets", action="store_true", help="the keys themselves too, not only their lengths")
    shown.add_argument("--json", action="store_true", help="one JSON object")
    made = parsers.add_parser("convert", help="write keys in another notation")
    made.add_argument("inputs", nargs="+", type=Path, metavar="IN", help=_INPUT)
    made.add_argument("--to", required=True, choices=convert.TARGETS, help="notation to write")
    made.add_argument("-o", "--output", type=Path, help="file to write (wireshark: profile folder); default: print")
    made.add_argument("--force", action="store_true", help="overwrite files")


def execute(arguments: Namespace) -> int:
    """Do it; 2 if a line was wrong."""
    if arguments.inputs.count(STANDARD_INPUT) > 1:
        raise UsageError("standard input can be read once")
    ring = KeyRing()
    for path in arguments.inputs:
        ring.add(detect.read(path))
    if arguments.action == "convert":
        left_out = _convert(ring, arguments)
    else:
        left_out = []
        _show(ring, arguments)
    for line in (*ring.notes, *left_out):
        _say(line)
    for problem in ring.problems[:_SHOWN_PROBLEMS]:
        _say(f"ipsectest: {problem}")
    if len(ring.problems) > _SHOWN_PROBLEMS:
        _say(f"ipsectest: and {len(ring.problems) - _SHOWN_PROBLEMS} more")
    return 2 if ring.problems else 0


def _show(ring: KeyRing, arguments: Namespace) -> None:
    if arguments.json:
        import json  # noqa: PLC0415

        from ipsectest.decrypt.keys import listing  # noqa: PLC0415

        sys.stdout.write(json.dumps(listing.as_json(ring, secrets=arguments.secrets), indent=2) + "\n")
        return
    from ipsectest.cli.console import open_console  # noqa: PLC0415
    from ipsectest.decrypt.keys import listing  # noqa: PLC0415

    console = open_console(highlight=False, soft_wrap=True)
    for row in listing.lines(ring, secrets=arguments.secrets):
        console.print(row, markup=False)


def _convert(ring: KeyRing, arguments: Namespace) -> list[str]:
    """Write; gives the lines on what was left out."""
    made = convert.TARGETS[arguments.to](ring)
    if arguments.output is None:
        for name, text in made.files.items():
            sys.stdout.write(f"# {name}\n{text}" if name else text)
        return made.left_out
    if arguments.to == "wireshark":
        if made.files:
            arguments.output.mkdir(mode=0o700, parents=True, exist_ok=True)
        targets = {arguments.output / name: text for name, text in made.files.items()}
    else:
        targets = {arguments.output: made.files.get("", "")}
    for path in targets:
        if path.exists() and not arguments.force:
            raise UsageError(f"{path} exists: choose another --output, or say --force")
    for path, text in targets.items():
        _write(path, text)
    return made.left_out


def _write(path: Path, text: str) -> None:
    """A new file that its owner alone can read; one that is there keeps its mode but never an old content."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201
