"""Remove what a run that was killed left on this machine: namespaces, processes, directories."""

from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="clean")
    actions.add_parser("clean", help="remove what dead runs left; running ones are not touched")


def execute(_arguments: Namespace) -> int:
    """Clean up and say what was removed."""
    from ipsectest.lab import journal  # noqa: PLC0415

    removed = journal.clean()
    for thing in removed:
        print(f"removed {thing}")  # noqa: T201
    if not removed:
        print("nothing was left behind")  # noqa: T201
    return 0
