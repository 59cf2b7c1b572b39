"""Run scenarios against peers; print what came of it and write a report with an HTML page, captures and keys."""

import secrets
import shlex
import sys
import time
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ipsectest.base.errors import UsageError
from ipsectest.cli import publish, selection
from ipsectest.cli.progress import RunProgress
from ipsectest.peers import table
from ipsectest.peers.remote.description import Remote
from ipsectest.runner import any_peer, library
from ipsectest.runner.any_peer import AnyPeer
from ipsectest.runner.pki import make, needs_certificates
from ipsectest.runner.recorder import Recorder
from ipsectest.runner.records import exit_code
from ipsectest.runner.seed import stream
from ipsectest.runner.session import Lab, Session, wall_clock_offset
from ipsectest.scenario import requirements


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    selection.add_arguments(parser)
    parser.add_argument(
        "--peer",
        action="append",
        metavar="NAME",
        help="builtin, strongswan, strongswan@bookworm ..., or FILE.toml: a peer of yours that runs already",
    )
    parser.add_argument("--netns", metavar="NAME", help="network namespace in which the peer of a FILE.toml is reached")
    parser.add_argument("--expected", type=Path, metavar="FILE", help="what is known of the peer of a FILE.toml")
    parser.add_argument("--seed", type=int, help="repeat a run: keys, nonces and SPIs are drawn from it")
    parser.add_argument(
        "--slow", type=publish.factor, default=1.0, metavar="FACTOR", help="scale the patience with the peer"
    )
    parser.add_argument("--jobs", type=int, default=24, help="cases at once against one peer (default: 24)")
    parser.add_argument(
        "--lab",
        choices=[lab.value for lab in Lab],
        default=Lab.HOST.value,
        help="where daemons run: vm has a kernel with ESP, auto takes there what is unsupported here",
    )
    parser.add_argument("--ip", type=int, choices=(4, 6), default=4, help="IP version of the wire (default: 4)")
    publish.add_arguments(parser)


def execute(arguments: Namespace) -> int:
    """Run; the exit code is that of design section 7."""
    started = datetime.now(UTC)
    peers = _peers(arguments, started)
    if not 1 <= arguments.jobs <= 120:
        raise UsageError("--jobs goes from 1 to 120")
    baseline = publish.baseline(arguments)
    _become_root(peers)
    folder = publish.report_folder(arguments, started)
    scenarios = {s.id: s for s in selection.chosen(arguments)}
    cases = library.wanted(arguments.scenario, [case for s in scenarios.values() for case in s.cases])
    catalogue = requirements.load(selection.folder(arguments) / "requirements")
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    recorder = Recorder(scenarios, catalogue, seed, folder, wall_clock_offset(), arguments.strict, arguments.ip)
    begun = time.monotonic()
    with RunProgress(len(cases) * len(peers)) as progress:
        pki = make(started, stream(seed, "pki")) if needs_certificates(cases) else None
        root, ip, slow, jobs = selection.folder(arguments), arguments.ip, arguments.slow, arguments.jobs
        session = Session(recorder, root, seed, ip, slow, jobs, progress, pki, Lab(arguments.lab))
        for peer in peers:
            any_peer.play(session, peer, cases)
    command = shlex.join(
        ["ipsectest", "run", *arguments.scenario, *(f"--peer={_word(p)}" for p in peers), f"--seed={seed}"]
    )
    command += f" --lab={arguments.lab}" if arguments.lab != Lab.HOST else ""
    command += f" --netns={arguments.netns}" if arguments.netns else ""
    record = recorder.record(started.strftime("%Y%m%d-%H%M%S"), publish.iso(started), time.monotonic() - begun, command)
    publish.publish(arguments, record, folder, baseline)
    return exit_code(record.results)


def _peers(arguments: Namespace, now: datetime) -> list[AnyPeer]:
    """Names and descriptions of peers, each once."""
    peers = [any_peer.parse(text, now) for text in dict.fromkeys(arguments.peer or [table.BUILTIN])]
    remotes = [peer for peer in peers if isinstance(peer, Remote)]
    names = [peer.name for peer in remotes]
    for peer in remotes:
        if names.count(peer.name) > 1 or peer.name in {*table.PEERS, table.BUILTIN, "interop"}:
            raise UsageError(
                f"{peer.path}: {peer.name!r} is the name of another peer in reports: name = ... changes it"
            )
    if not remotes and (arguments.netns or arguments.expected):
        raise UsageError("--netns and --expected are for peers that a file describes: --peer FILE.toml")
    if len(remotes) > 1 and arguments.expected:
        raise UsageError("--expected is for one peer: several have expected = ... in their files")
    return [_adjusted(peer, arguments) if isinstance(peer, Remote) else peer for peer in peers]


def _adjusted(peer: Remote, arguments: Namespace) -> Remote:
    """What the command line says instead of the file."""
    return replace(peer, netns=arguments.netns or peer.netns, expected=arguments.expected or peer.expected)


def _word(peer: AnyPeer) -> str:
    return str(peer.path) if isinstance(peer, Remote) else str(peer)


def _become_root(peers: list[AnyPeer]) -> None:
    """Daemons need namespaces: an ordinary user gets them in a user namespace of his own, without his network."""
    if not any(map(any_peer.needs_lab, peers)):
        return
    from ipsectest.lab import privileges  # noqa: PLC0415

    if any(isinstance(peer, Remote) for peer in peers) and not privileges.can_make_namespaces():
        raise UsageError(
            "daemons and peers that a file describes go together for root only: run them one after another"
        )
    privileges.reexec([sys.executable, "-m", "ipsectest.cli.main", *sys.argv[1:]])
