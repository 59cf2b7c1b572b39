"""Install, list and remove peers (Debian root file systems in the user's cache directory); check a peer of yours."""

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ipsectest.base.errors import UsageError


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="install|list|remove|check|example")
    install = actions.add_parser("install", help="build the root file system of a peer, unless it is there")
    install.add_argument("peer", nargs="+", help="such as strongswan or strongswan@bookworm")
    remove = actions.add_parser("remove", help="delete it")
    remove.add_argument("peer", nargs="+")
    listing = actions.add_parser("list", help="what is installed and what could be")
    listing.add_argument("--json", action="store_true", help="as JSON")
    check = actions.add_parser("check", help="see whether the description of a peer fits, and what to change")
    check.add_argument("file", type=Path, help="the FILE.toml of run --peer")
    check.add_argument("--netns", metavar="NAME", help="network namespace in which the peer is reached")
    check.add_argument("--json", action="store_true", help="one JSON object")
    actions.add_parser("example", help="print a description to fill in: ipsectest peers example > my-gateway.toml")


def execute(arguments: Namespace) -> int:
    """Carry out the action."""
    if arguments.action == "list":
        return _list(as_json=arguments.json)
    if arguments.action == "example":
        from ipsectest.peers.remote import EXAMPLE  # noqa: PLC0415

        sys.stdout.write(EXAMPLE.read_text(encoding="utf-8"))
        return 0
    if arguments.action == "check":
        from ipsectest.cli import peers_check  # noqa: PLC0415

        return peers_check.execute(arguments)
    from ipsectest.peers import rootfs, table  # noqa: PLC0415

    for name in [table.parse(text) for text in arguments.peer]:
        if arguments.action == "remove":
            if not rootfs.remove(name):
                raise UsageError(f"{name} is not installed")
            print(f"removed {name}")  # noqa: T201
        elif name.driver == table.BUILTIN:
            print(f"{name} needs no installation")  # noqa: T201
        else:
            tree = table.install(name, lambda line: print(f"  {line}", file=sys.stderr))  # noqa: T201
            print(f"{name}: {tree.version} in {tree.root}")  # noqa: T201
    return 0


def _list(*, as_json: bool) -> int:
    from ipsectest.peers import rootfs, table  # noqa: PLC0415

    installed = {tree.name: tree for tree in rootfs.installed()}
    rows = []
    for name in map(str, table.names()):
        tree = installed.get(name)
        root = str(tree.root) if tree else ""
        rows.append({"peer": name, "version": tree.version if tree else "", "root": root, "title": ""})
    for peer in table.speaking():
        profile = table.profile_of(peer)
        rows.append({"peer": str(peer), "version": "", "root": "", "title": profile.title if profile else ""})
    if as_json:
        print(json.dumps(rows, indent=1))  # noqa: T201
        return 0
    for row in rows:
        always = row["title"] or ("always there" if row["peer"] == table.BUILTIN else "-")
        place = f"  {row['root']}" if row["root"] else ""
        print(f"{row['peer']:<24}{row['version'] or always}{place}")  # noqa: T201
    return 0
