"""List scenarios with their titles, chosen by id, peer role or requirement."""

import json
from argparse import ArgumentParser, Namespace

from rich.table import Table
from rich.text import Text

from ipsectest.cli import selection
from ipsectest.cli.console import open_console
from ipsectest.scenario.model import Scenario, Tests


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    selection.add_arguments(parser)
    parser.add_argument(
        "--requirement", metavar="ID", help="only those that cite it; a prefix such as 7296-2.8 will do"
    )
    parser.add_argument("--tests", choices=[t.value for t in Tests], help="only those for this role of the peer")
    parser.add_argument("--json", action="store_true", help="as JSON")


def execute(arguments: Namespace) -> int:
    """Print the list."""
    found = [s for s in selection.chosen(arguments) if _wanted(s, arguments)]
    if arguments.json:
        print(json.dumps([_facts(s) for s in found], indent=1))  # noqa: T201
        return 0
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("scenario", "tests", "title"):
        table.add_column(name, no_wrap=name != "title")
    for scenario in found:
        table.add_row(Text(scenario.id), Text(scenario.tests.value, "dim"), Text(scenario.title))
    console = open_console()
    console.print(table)
    cases = sum(len(s.cases) for s in found)
    console.print(Text(f"{len(found)} scenarios, {cases} cases", "dim"))
    return 0


def _wanted(scenario: Scenario, arguments: Namespace) -> bool:
    if arguments.tests and scenario.tests.value != arguments.tests:
        return False
    return not arguments.requirement or any(c.startswith(arguments.requirement) for c in scenario.cites)


def _facts(scenario: Scenario) -> dict[str, object]:
    return {
        "id": scenario.id,
        "title": scenario.title,
        "tests": scenario.tests.value,
        "cites": list(scenario.cites),
        "variants": [case.variant for case in scenario.cases if case.variant],
        "file": str(scenario.path),
    }
