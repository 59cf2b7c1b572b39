"""Print the version of ipsectest and of what it stands on."""

import json
import platform
from argparse import ArgumentParser, Namespace
from importlib.metadata import PackageNotFoundError, version

from ipsectest import __version__

_PARTS = ("scapy", "cryptography", "pyroute2", "lark", "rich")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="all versions as JSON")


def execute(arguments: Namespace) -> int:
    """Print them."""
    if not arguments.json:
        print(f"ipsectest {__version__}")  # noqa: T201
        return 0
    versions = {"ipsectest": __version__, "python": platform.python_version()}
    for part in _PARTS:
        try:
            versions[part] = version(part)
        except PackageNotFoundError:
            versions[part] = "missing"
    print(json.dumps(versions, indent=1))  # noqa: T201
    return 0
