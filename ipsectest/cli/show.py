"""Explain a scenario: title, why, the requirements it cites, the ladder, and what proves it."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text

from ipsectest.cli import selection
from ipsectest.cli.console import open_console
from ipsectest.scenario import requirements
from ipsectest.scenario.model import Scenario
from ipsectest.scenario.requirements import Requirement


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("scenario", nargs="+", help="id, family, glob of ids, or a file")
    selection.add_folder(parser)


def execute(arguments: Namespace) -> int:
    """Print the explanation."""
    catalogue = requirements.load(selection.folder(arguments) / "requirements")
    console = open_console()
    for number, scenario in enumerate(selection.chosen(arguments)):
        if number:
            console.print("─" * min(console.width, 80), style="dim")
        _show(scenario, catalogue, console)
    return 0


def _show(scenario: Scenario, catalogue: Mapping[str, Requirement], console: Console) -> None:
    console.print(Text(scenario.title, "bold"))
    console.print(
        Text(f"{scenario.id} \N{MIDDLE DOT} {scenario.path} \N{MIDDLE DOT} tests the {scenario.tests.value}", "dim")
    )
    if scenario.why:
        console.print(Padding(Text(scenario.why), (1, 0, 0, 0)))
    console.print()
    for cited in scenario.cites:
        row = catalogue.get(cited)
        if row is None:
            console.print(Text(f"{cited}: not in the catalogue", "red"))
            continue
        console.print(Text.assemble((f"{row.level} {cited} ", "bold"), (f"RFC {row.rfc} section {row.section}", "dim")))
        console.print(Padding(Text(row.text), (0, 0, 0, 2)))
        if row.contested:
            console.print(Padding(Text(f"contested: {row.contested}", "yellow"), (0, 0, 0, 2)))
    numbers = {"line_numbers": True, "start_line": scenario.script_line}
    console.print(Padding(Syntax(scenario.script, "text", background_color="default", **numbers), (1, 0)))  # type: ignore[arg-type]
    variants = [case.variant for case in scenario.cases if case.variant]
    if variants:
        console.print(Text(f"variants: {', '.join(variants)}"))
    console.print(Text(f"proof: must not pass with {', '.join(scenario.proof) or 'nothing'}"))
