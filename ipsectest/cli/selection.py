"""Arguments that several sub-commands share: which scenarios."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from ipsectest.runner import library
from ipsectest.scenario.load import load
from ipsectest.scenario.model import Scenario


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the patterns and the folder."""
    parser.add_argument("scenario", nargs="*", help="id, family (ike/init), glob of ids, or a file; default: all")
    add_folder(parser)


def add_folder(parser: ArgumentParser) -> None:
    """Declare the folder alone."""
    parser.add_argument("--scenarios", type=Path, metavar="DIR", help="folder of scenarios (default: ./scenarios)")


def folder(arguments: Namespace) -> Path:
    """The scenarios folder that is meant."""
    return library.root(arguments.scenarios)


def chosen(arguments: Namespace) -> Iterator[Scenario]:
    """The scenarios that are meant, read; InputError for a file that cannot be run."""
    root = folder(arguments)
    for path in library.select(arguments.scenario, root):
        below = path.resolve().is_relative_to(root.resolve())
        yield load(path, root if below else None)
