"""Check scenario files without running them: grammar, names, requirement ids, tags, proofs; and profiles."""

import json
import sys
from argparse import ArgumentParser, Namespace

from ipsectest.cli import selection
from ipsectest.runner import library
from ipsectest.scenario import profile_files, requirements
from ipsectest.scenario.lint import lint


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    selection.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="findings as JSON")


def execute(arguments: Namespace) -> int:
    """Print what is wrong; exit code 2 if anything is."""
    folder = selection.folder(arguments)
    paths = library.select(arguments.scenario, folder)
    if not arguments.scenario:
        paths += profile_files.files(folder).values()
    catalogue = requirements.load(folder / "requirements")
    findings = lint(paths, catalogue=catalogue)
    if arguments.json:
        rows = [
            {
                "file": str(f.place.path),
                "line": f.place.line,
                "column": f.place.column,
                "message": f.message,
                "hint": f.hint,
            }
            for f in findings
        ]
        print(json.dumps(rows, indent=1))  # noqa: T201
    else:
        for finding in findings:
            print(finding)  # noqa: T201
        print(f"{len(paths)} files, {len(findings)} findings", file=sys.stderr)  # noqa: T201
    return 2 if findings else 0
