"""Set up tunnels between every ordered pair of peers, with suites, authentication and forms that cover each other."""

import json
import secrets
import shlex
import sys
import time
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from datetime import UTC, datetime

from ipsectest.base.errors import UsageError
from ipsectest.cli import publish, selection
from ipsectest.cli.progress import RunProgress
from ipsectest.lab import privileges
from ipsectest.net.loop import EventLoop
from ipsectest.peers import table
from ipsectest.peers.names import PeerName
from ipsectest.runner import expectations
from ipsectest.runner.interop import cells, profile_cells
from ipsectest.runner.interop.benches import Benches
from ipsectest.runner.interop.cells import Cell, Plan
from ipsectest.runner.interop.play import Player
from ipsectest.runner.interop.record import Records
from ipsectest.runner.interop.session import Session, spread
from ipsectest.runner.interop.settings import INITIATOR, RESPONDER
from ipsectest.runner.pki import make_sides
from ipsectest.runner.records import exit_code
from ipsectest.runner.seed import stream

_PEERS = "builtin,strongswan@trixie,strongswan@forky,libreswan@bookworm,libreswan@trixie"
_PROFILES = "profiles"
"""The word for all of them."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--peers",
        default=_PEERS,
        metavar="NAME,...",
        help=f"both ends come from these ({_PEERS}); with profiles among them (builtin@aws, builtin@FILE.toml ..., or "
        "profiles for all) each of those meets each other peer",
    )
    which.add_argument("--cell", action="append", metavar="WORDS", help="this cell alone, as a report names it")
    parser.add_argument("--full", action="store_true", help="all combinations, not just each pair of words once")
    parser.add_argument("--cells", type=int, metavar="N", help="no more than N cells, spread over all")
    parser.add_argument(
        "--no-vm",
        action="store_true",
        help="start no virtual machine: no AH, no Libreswan, transport mode of our endpoint only",
    )
    parser.add_argument("--list", action="store_true", help="print the cells and what is unsupported; play nothing")
    parser.add_argument("--seed", type=int, help="of the secrets and keys that ipsectest draws")
    parser.add_argument(
        "--slow", type=publish.factor, default=1.0, metavar="FACTOR", help="scale the patience with the peers"
    )
    selection.add_folder(parser)
    publish.add_arguments(parser)


def execute(arguments: Namespace) -> int:
    """Run; the exit code is that of design section 7."""
    asked = [cells.parse(text) for text in arguments.cell or ()]
    peers = _peers(arguments, asked)
    asked = [_canonical(cell) for cell in asked]
    if arguments.cells is not None and arguments.cells < 1:
        raise UsageError("--cells takes a number above 0")
    older = publish.baseline(arguments)
    for peer in peers:
        if table.needs_tree(peer):
            table.install(peer, lambda line: print(f"  {line}", file=sys.stderr))  # noqa: T201
    privileges.reexec([sys.executable, "-m", "ipsectest.cli.main", *sys.argv[1:]])
    started, begun = datetime.now(UTC), time.monotonic()
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    sides = make_sides(INITIATOR, RESPONDER, started, stream(seed, "pki"))
    known = expectations.load(selection.folder(arguments), "interop")
    random, virtual = stream(seed, "interop"), not arguments.no_vm
    with EventLoop() as loop, Benches(peers, sides, random, loop, asked, virtual) as bench:
        plan = _plan(arguments, peers, asked, bench)
        if arguments.list:
            _print(plan, as_json=arguments.json)
            return 0
        folder = publish.report_folder(arguments, started)
        records = Records(bench.abilities, known, folder)
        with RunProgress(len(plan.cells) + len(plan.unsupported)) as progress:
            player = Player(loop, stream(seed, "secrets"), arguments.slow)
            show = Session(bench, player, records, lambda r: progress.step(f"{r.peer} {r.variant}: {r.verdict}"))
            show.play(replace(plan, cells=bench.order(plan.cells)))
    command = shlex.join(["ipsectest", "interop", *_words(arguments), f"--seed={seed}"])
    run_id = started.strftime("%Y%m%d-%H%M%S")
    record = records.record(run_id, publish.iso(started), time.monotonic() - begun, seed, command)
    publish.publish(arguments, record, folder, older)
    return exit_code(record.results)


def _peers(arguments: Namespace, asked: list[Cell]) -> list[PeerName]:
    texts = [name for cell in asked for name in (cell.initiator, cell.responder)] or arguments.peers.split(",")
    named = [peer for text in texts for peer in _named(text.strip())]
    if not asked and all(map(table.profile_of, named)):
        named += [table.parse(text) for text in _PEERS.split(",") if text != table.BUILTIN]
    return list(dict.fromkeys(named))


def _named(text: str) -> list[PeerName]:
    return table.speaking() if text == _PROFILES else [table.parse(text, profiles=True)]


def _canonical(cell: Cell) -> Cell:
    """The peers by their full names."""
    names = [str(table.parse(name, profiles=True)) for name in (cell.initiator, cell.responder)]
    return replace(cell, initiator=names[0], responder=names[1])


def _plan(arguments: Namespace, peers: list[PeerName], asked: list[Cell], bench: Benches) -> Plan:
    if asked:
        return cells.chosen(asked, bench.lacks)
    profiles = {str(peer): profile for peer in peers if (profile := table.profile_of(peer))}
    others = [str(peer) for peer in peers if str(peer) not in profiles]
    if profiles:
        plan = profile_cells.plan(profiles, others, bench.lacks, full=arguments.full)
    else:
        plan = (cells.all_combinations if arguments.full else cells.covering)(others, bench.lacks)
    if arguments.cells is None:
        return plan
    return Plan(spread(plan.cells, arguments.cells), {})


def _print(plan: Plan, *, as_json: bool) -> None:
    if as_json:
        unsupported = {str(cell): why for cell, why in plan.unsupported.items()}
        print(json.dumps({"cells": [str(cell) for cell in plan.cells], "unsupported": unsupported}, indent=1))  # noqa: T201
        return
    for cell in plan.cells:
        print(cell)  # noqa: T201
    for cell, why in plan.unsupported.items():
        print(f"{cell}: unsupported, {why}")  # noqa: T201


def _words(arguments: Namespace) -> list[str]:
    words = [f"--cell={text}" for text in arguments.cell or ()] or [f"--peers={arguments.peers}"]
    words += (["--full"] if arguments.full else []) + (["--no-vm"] if arguments.no_vm else [])
    return words + ([f"--cells={arguments.cells}"] if arguments.cells is not None else [])
