"""Run scenarios against peers; print what came of it and write a report with an HTML page, captures and keys."""

import secrets
import shlex
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import UTC, datetime
from pathlib import Path

from ipsectest.base.errors import UsageError
from ipsectest.cli import selection
from ipsectest.cli.progress import RunProgress
from ipsectest.peers import table
from ipsectest.peers.names import PeerName
from ipsectest.report import jsonfile
from ipsectest.runner import library
from ipsectest.runner.artifacts import PRIVATE
from ipsectest.runner.pki import make, needs_certificates
from ipsectest.runner.recorder import Recorder, summary_json
from ipsectest.runner.records import RunRecord, exit_code
from ipsectest.runner.seed import stream
from ipsectest.runner.session import Session, wall_clock_offset
from ipsectest.scenario import requirements
from ipsectest.scenario.model import Case

_REPORTS = Path("reports")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    selection.add_arguments(parser)
    parser.add_argument("--peer", action="append", metavar="NAME", help="builtin, strongswan, strongswan@bookworm ...")
    parser.add_argument("--report", type=Path, metavar="DIR", help="folder to write (default: reports/<time>)")
    parser.add_argument("--no-report", action="store_true", help="write no folder, print only")
    parser.add_argument("--compare", type=Path, metavar="OLD", help="older report: mark what changed since")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="append a Markdown summary (CI step summary)")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON instead of the tree")
    parser.add_argument("--seed", type=int, help="repeat a run: keys, nonces and SPIs are drawn from it")
    parser.add_argument(
        "--slow", type=_positive, default=1.0, metavar="FACTOR", help="scale the patience with the peer"
    )
    parser.add_argument("--jobs", type=int, default=24, help="cases at once against one peer (default: 24)")
    parser.add_argument(
        "--lab", choices=("host", "vm"), default="host", help="where daemons run: vm has a kernel with ESP"
    )
    parser.add_argument("--ip", type=int, choices=(4, 6), default=4, help="IP version of the wire (default: 4)")
    parser.add_argument("--strict", action="store_true", help="a SHOULD that is not kept is a regression")
    parser.add_argument("-v", "--verbose", action="store_true", help="name passed cases too")


def execute(arguments: Namespace) -> int:
    """Run; the exit code is that of design section 7."""
    peers = [table.parse(text) for text in dict.fromkeys(arguments.peer or [table.BUILTIN])]
    if not 1 <= arguments.jobs <= 120:
        raise UsageError("--jobs goes from 1 to 120")
    baseline = jsonfile.load(arguments.compare) if arguments.compare else None
    _become_root(peers)
    started = datetime.now(UTC)
    folder = _report_folder(arguments, started)
    scenarios = {s.id: s for s in selection.chosen(arguments)}
    cases = library.wanted(arguments.scenario, [case for s in scenarios.values() for case in s.cases])
    catalogue = requirements.load(selection.folder(arguments) / "requirements")
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    recorder = Recorder(scenarios, catalogue, seed, folder, wall_clock_offset(), arguments.strict, arguments.ip)
    begun = time.monotonic()
    with RunProgress(len(cases) * len(peers)) as progress:
        pki = make(started, stream(seed, "pki")) if needs_certificates(cases) else None
        root, ip, slow, jobs = selection.folder(arguments), arguments.ip, arguments.slow, arguments.jobs
        session = Session(recorder, root, seed, ip, slow, jobs, progress, pki, vm=arguments.lab == "vm")
        for peer in peers:
            _play(session, peer, cases)
    command = shlex.join(["ipsectest", "run", *arguments.scenario, *(f"--peer={p}" for p in peers), f"--seed={seed}"])
    record = recorder.record(started.strftime("%Y%m%d-%H%M%S"), _iso(started), time.monotonic() - begun, command)
    _publish(arguments, record, folder, baseline)
    return exit_code(record.results)


def _play(session: Session, peer: PeerName, cases: list[Case]) -> None:
    if peer.driver == table.BUILTIN:
        session.memory(cases)
    else:
        session.daemons(peer, cases)


def _become_root(peers: list[PeerName]) -> None:
    """Daemons need namespaces: an ordinary user gets them in a user namespace of his own."""
    if any(peer.driver != table.BUILTIN for peer in peers):
        from ipsectest.lab import privileges  # noqa: PLC0415

        privileges.reexec([sys.executable, "-m", "ipsectest.cli.main", *sys.argv[1:]])


def _report_folder(arguments: Namespace, started: datetime) -> Path | None:
    if arguments.no_report:
        return None
    folder: Path = arguments.report or _REPORTS / started.strftime("%Y%m%d-%H%M%S")
    if (folder / "report.json").exists() and arguments.report is None:
        raise UsageError(f"{folder} exists")
    folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    folder.chmod(PRIVATE)
    return folder


def _publish(arguments: Namespace, record: RunRecord, folder: Path | None, baseline: RunRecord | None) -> None:
    if folder:
        from ipsectest.report import html, junit  # noqa: PLC0415 - jinja2 takes its time

        (folder / "report.json").write_text(jsonfile.dump(record), encoding="utf-8")
        (folder / "junit.xml").write_text(junit.render(record, strict=arguments.strict), encoding="utf-8")
        html.write(record, folder, baseline=baseline)
    if arguments.markdown:
        from ipsectest.report import markdown  # noqa: PLC0415

        with arguments.markdown.open("a", encoding="utf-8") as file:
            file.write(markdown.render(record))
    if arguments.json:
        print(summary_json(record))  # noqa: T201
        return
    from rich.console import Console  # noqa: PLC0415

    from ipsectest.report import terminal  # noqa: PLC0415

    console = Console()
    if folder:
        console.print(f"report: {folder / 'index.html'}", style="bold", soft_wrap=True, highlight=False)
    terminal.render(record, console, folder=folder or Path(), verbose=arguments.verbose)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1000:
        raise ArgumentTypeError(f"{text!r} is no factor above 0")
    return value
