"""``ipsectest lab up``: a topology with IKE endpoints in it, to work with by hand or by script."""

import json
import secrets
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ipsectest.base.errors import LabError, UsageError
from ipsectest.cli import lab_exec, suites
from ipsectest.cli.dispatch import TerminatedError
from ipsectest.cli.publish import REPORTS

if TYPE_CHECKING:
    from ipsectest.lab.topology import Topology
    from ipsectest.peers.names import PeerName
    from ipsectest.runner.pki import PkiSide
    from ipsectest.runner.testbed.commands import Outcome
    from ipsectest.runner.testbed.testbed import Plane, Testbed
    from ipsectest.runner.testbed.tunnels import Tunnel
    from ipsectest.runner.testbed.worker import Worker
    from ipsectest.scenario.ports import Authentication

_EPILOG = """commands, at the prompt, on standard input or with -c: status, nodes, links, up, down, rekey, ping, forget,
fail, repair, wait, log, save (help explains them), and in a node's namespace: run NODE COMMAND..., shell NODE"""
_METHODS = "psk", "rsa", "ecdsa", "ed25519"
_PROMPT = "lab> "
_WIDE = {"ike", "esp", "form", "addresses", "impaired", "packets", "capture", "what"}
"""Columns that take more lines where the terminal is narrow."""
_WIDTH, _LEFT_OUT = 110, {"ike"}
"""Where the terminal is narrower than that, tunnels are shown without these."""
_LEAVE = {"quit", "exit"}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    parser.add_argument("topology", metavar="NAME|FILE", help="see ipsectest lab topologies; or a .toml file")
    parser.add_argument(
        "--peer", action="append", default=[], metavar="[NODE=]PEER",
        help="who speaks IKE at a node, or at all of them (default: builtin; builtin@aws ... speak like somebody)",
    )  # fmt: skip
    parser.add_argument(
        "--plane",
        choices=("auto", "user", "kernel", "guest"),
        default="auto",
        help="whose ESP is used: in user space, this kernel's, or for daemons the virtual machine's kernel, where they "
        "stand then (default: user space where there is one)",
    )
    parser.add_argument("--ip", type=int, choices=(4, 6), default=4, help="version of outer addresses (default: 4)")
    suites.add_arguments(parser, instead="a profile's strongest")
    parser.add_argument(
        "--auth", choices=_METHODS, help="a shared secret, or certificates (default: psk, or what a profile has)"
    )
    parser.add_argument(
        "--impair", action="append", default=[], metavar="LINK:WHAT",
        help="make a link bad, such as internet:loss=0.1,delay=0.02,jitter=0.01,reorder=0.1,duplicate=0.01,rate=1e6 "
        "(probabilities, seconds, bits per second; with seed=7 the same each time)",
    )  # fmt: skip
    parser.add_argument("--down", action="store_true", help="leave the tunnels down at first")
    parser.add_argument("-c", "--command", action="append", metavar="LINE", help="do this and no more; repeatable")
    parser.add_argument("--report", type=Path, metavar="DIR", help="folder to write (default: reports/lab-<time>)")
    parser.add_argument("--json", action="store_true", help="print a JSON object for each command")


def execute(arguments: Namespace) -> int:
    """Build it, do what is asked, and take it down again. 1: a command has failed."""
    from ipsectest.lab import privileges  # noqa: PLC0415
    from ipsectest.net.loop import EventLoop  # noqa: PLC0415
    from ipsectest.peers import table  # noqa: PLC0415
    from ipsectest.runner.testbed.testbed import Testbed  # noqa: PLC0415
    from ipsectest.runner.testbed.worker import Worker  # noqa: PLC0415

    topology = _topology(arguments.topology, arguments.impair)
    peers = _peers(topology, arguments.peer)
    auth = _authentication(peers, arguments.auth)
    tunnels = _tunnels(topology, peers, auth, arguments)
    for peer in dict.fromkeys(peers.values()):
        if table.needs_tree(peer):
            table.install(peer, lambda line: print(f"  {line}", file=sys.stderr))  # noqa: T201
    privileges.reexec([sys.executable, "-m", "ipsectest.cli.main", *sys.argv[1:]])
    planes = _planes(peers, arguments.plane)
    folder = _folder(arguments)
    with ExitStack() as stack:
        worker = stack.enter_context(Worker(stack.enter_context(EventLoop())))
        testbed = Testbed(topology, tunnels, peers, worker.loop, folder, planes, _pki(peers, auth))
        # First: an interrupt may come when it is just complete. Without having been entered there is nothing to close.
        stack.callback(worker.clean, testbed.close)
        with _waiting("building the network") as testbed.say:
            worker.call(testbed.__enter__)
        conversation = _Conversation(arguments, worker, testbed)
        conversation.hold(is_down=arguments.down)
    _say(f"captures, keys and logs: {folder}")
    return 0 if conversation.is_good else 1


class _Conversation:
    """Does line after line."""

    def __init__(self, arguments: Namespace, worker: "Worker", testbed: "Testbed") -> None:
        self._worker = worker
        self._testbed = testbed
        self._as_json: bool = arguments.json
        self._given: list[str] | None = arguments.command
        self._is_asked = self._given is None and sys.stdin.isatty()
        self.is_good = True
        """Whether every command did what it should; who typed it has seen."""

    def hold(self, *, is_down: bool) -> None:
        """Until there is nothing more to do."""
        if self._is_asked:
            self._do("nodes")
        if not is_down:
            self._do("up")
        for line in self._given if self._given is not None else _lines(self._testbed):
            if line.strip() in _LEAVE:
                break
            if line.strip():
                self._do(line.strip())

    def _do(self, line: str) -> None:
        from ipsectest.runner.testbed.commands import perform  # noqa: PLC0415

        if not (self._is_asked or self._as_json):
            print(f"{_PROMPT}{line}", flush=True)  # noqa: T201
        try:
            inside = _inside(self._testbed, line, is_captured=self._as_json)
            outcome = inside or self._worker.call(lambda: perform(self._testbed, line))
        except KeyboardInterrupt as interrupt:
            if not self._is_asked or isinstance(interrupt, TerminatedError):
                raise
            _say("interrupted; Ctrl-D takes the lab down")
            return
        self.is_good = self.is_good and (self._is_asked or not outcome.problem)
        (_print_json if self._as_json else _print)(outcome)


def _lines(testbed: "Testbed") -> Iterator[str]:
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    with suppress(ImportError):  # editing, history and completion, where Python has them
        import readline  # noqa: PLC0415

        readline.set_completer(_completer(testbed))
        readline.set_completer_delims(" ")
        readline.parse_and_bind("tab: complete")
    _say("help lists the commands; Ctrl-D takes the lab down")
    while True:
        try:
            yield input(_PROMPT)
        except EOFError:
            print()  # noqa: T201
            return
        except TerminatedError:
            raise
        except KeyboardInterrupt:  # as in a shell: who has ended a command may press it once too often
            _say("\nCtrl-D takes the lab down")


def _completer(testbed: "Testbed") -> Callable[[str, int], str | None]:
    from ipsectest.runner.testbed.commands import COMMANDS  # noqa: PLC0415

    topology = testbed.topology
    words = [*COMMANDS, "run", "shell", "quit", "ike", "child", "by", *topology.nodes]
    words += [tunnel.name for tunnel in testbed.tunnels] + [link.name for link in topology.links]

    def complete(text: str, number: int) -> str | None:
        found = sorted({f"{word} " for word in words if word.startswith(text)})
        return found[number] if number < len(found) else None

    return complete


def _inside(testbed: "Testbed", line: str, *, is_captured: bool) -> "Outcome | None":
    """``run`` and ``shell``, which this process does itself: the loop goes on meanwhile."""
    import shlex  # noqa: PLC0415

    from ipsectest.runner.testbed.commands import Outcome  # noqa: PLC0415
    from ipsectest.runner.testbed.running import enter  # noqa: PLC0415

    try:
        words = shlex.split(line)
    except ValueError:
        return None
    if not words or words[0] not in {"run", "shell"}:
        return None
    is_shell, nodes = words[0] == "shell", testbed.topology.nodes
    if (len(words) != 2 if is_shell else len(words) < 3) or words[1] not in nodes:
        usage = f"write {words[0]} NODE{'' if is_shell else ' COMMAND...'}"
        return Outcome(line, f"{usage} (there are {', '.join(nodes)})")
    if is_shell and not is_captured and sys.stdin.isatty():
        _say(f"a shell at {words[1]}; exit leaves it{', and Ctrl-]' if words[1] in testbed.guests else ''}")
    guest = testbed.running.guest
    if guest is None or words[1] not in testbed.guests:
        command = [lab_exec.shell()] if is_shell else words[2:]
        status, text = enter(testbed.running.entering(words[1], command), is_captured=is_captured)
    elif not is_shell:
        status, text = lab_exec.carry_out_at(guest, words[1], shlex.join(words[2:]), is_captured=is_captured)
    elif sys.stdin.isatty() and not is_captured:
        lab_exec.attach(guest.terminal, words[1])
        return Outcome(line)
    else:
        return Outcome(line, f"a shell in the virtual machine needs a terminal: write run {words[1]} COMMAND...")
    return Outcome(line, f"exit status {status}" if status else "", text=text)


def _print(outcome: "Outcome") -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from ipsectest.cli.console import open_console  # noqa: PLC0415

    console = open_console(soft_wrap=True, highlight=False)
    if outcome.rows:
        left_out = _LEFT_OUT if console.width < _WIDTH and "tunnel" in outcome.rows[0] else set()
        rows = [{name: value for name, value in row.items() if name not in left_out} for row in outcome.rows]
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in rows[0]:
            table.add_column(name.replace("_", " "), overflow="fold", no_wrap=name not in _WIDE)
        for row in rows:
            table.add_row(*(_cell(name, value) for name, value in row.items()))
        open_console(highlight=False).print(table)
    if outcome.text:
        console.print(outcome.text.rstrip(), markup=False)
    if outcome.problem:
        console.print(Text(f"✘ {outcome.problem}", style="red"))


def _cell(name: str, value: str | int) -> str:
    from rich.markup import escape  # noqa: PLC0415

    if name == "state":
        mark, style = {"up": ("✔", "green"), "down": ("·", "dim")}.get(str(value), ("!", "yellow"))
        return f"[{style}]{mark} {value}[/]"
    return escape(str(value))


def _print_json(outcome: "Outcome") -> None:
    told = {"command": outcome.command, "ok": not outcome.problem, "problem": outcome.problem}
    told |= {"rows": outcome.rows, "text": outcome.text}
    print(json.dumps(told), flush=True)  # noqa: T201


def _topology(name: str, impaired: list[str]) -> "Topology":
    from ipsectest.cli.topologies import load  # noqa: PLC0415
    from ipsectest.net.impairment import Impairment  # noqa: PLC0415

    topology = load(name)
    for text in impaired:
        link, _, how = text.partition(":")
        if link not in [one.name for one in topology.links]:
            names = ", ".join(one.name for one in topology.links)
            raise UsageError(f"--impair {text}: no link {link!r} (there are {names})")
        try:
            made = Impairment.of(how)
        except ValueError as error:
            raise UsageError(f"--impair {text}: {error}") from None
        links = (replace(one, impairment=made) if one.name == link else one for one in topology.links)
        topology = replace(topology, links=tuple(links))
    return topology


def _peers(topology: "Topology", asked: list[str]) -> "dict[str, PeerName]":
    from ipsectest.peers import table  # noqa: PLC0415

    nodes = [node.name for node in topology.nodes.values() if node.endpoint]
    if not nodes:
        raise UsageError(f"{topology.name} has no node with an endpoint")
    found = dict.fromkeys(nodes, table.parse(table.BUILTIN))
    for text in asked:
        node, is_for_one, peer = text.rpartition("=")
        if is_for_one and node not in found:
            raise UsageError(f"--peer {text}: no endpoint {node!r} (there are {', '.join(nodes)})")
        found |= dict.fromkeys([node] if is_for_one else nodes, table.parse(peer, profiles=True))
    return found


def _authentication(peers: "dict[str, PeerName]", asked: str | None) -> "Authentication":
    from ipsectest.runner.testbed.speakers import Speakers  # noqa: PLC0415
    from ipsectest.scenario.ports import Authentication  # noqa: PLC0415

    return Authentication(asked) if asked else Speakers(peers).authentication()


def _planes(peers: "dict[str, PeerName]", asked: str) -> "dict[str, Plane]":
    from ipsectest.peers import table  # noqa: PLC0415
    from ipsectest.runner.testbed.testbed import Plane  # noqa: PLC0415

    daemons = {node: table.PEERS[peer.driver] for node, peer in peers.items() if peer.driver != table.BUILTIN}
    # What has no ESP in user space.
    needy = [node for node, daemon in daemons.items() if not daemon.user_space_esp]
    match asked:
        case Plane.GUEST:
            if not daemons:
                raise UsageError("--plane guest is for daemons: name one with --peer NODE=PEER")
            return dict.fromkeys(daemons, Plane.GUEST)
        case Plane.USER if needy:
            raise UsageError(f"{peers[needy[0]]} has no ESP in user space: leave --plane out, or say guest")
        case Plane.KERNEL if refusal := _esp_refusal():
            raise LabError(f"this kernel takes no ESP ({refusal}): leave --plane out, or say guest for daemons")
        case Plane.USER | Plane.KERNEL:
            return dict.fromkeys(peers, Plane(asked))
    return dict.fromkeys(needy, Plane.GUEST if needy and _esp_refusal() else Plane.KERNEL)


def _pki(nodes: Iterable[str], method: "Authentication") -> "dict[str, PkiSide]":
    from ipsectest.runner.pki import make_hosts  # noqa: PLC0415
    from ipsectest.runner.testbed.tunnels import host_name  # noqa: PLC0415
    from ipsectest.scenario.ports import Authentication  # noqa: PLC0415

    if method == Authentication.PSK:
        return {}
    names = {node: host_name(node) for node in nodes}
    made = make_hosts(list(names.values()), datetime.now(UTC), secrets.token_bytes, [method])
    return {node: made[name] for node, name in names.items()}


def _esp_refusal() -> str:
    from ipsectest.lab import Lab  # noqa: PLC0415
    from ipsectest.lab.xfrm import esp_refusal  # noqa: PLC0415

    with Lab() as lab:
        return esp_refusal(lab.namespace("probe"))


def _tunnels(
    topology: "Topology", peers: "dict[str, PeerName]", auth: "Authentication", arguments: Namespace
) -> list["Tunnel"]:
    from ipsectest.runner.testbed.speakers import Speakers  # noqa: PLC0415
    from ipsectest.runner.testbed.tunnels import Offer, tunnels_of  # noqa: PLC0415

    ike, esp = arguments.ike or suites.DEFAULTS[0], arguments.esp or suites.DEFAULTS[1]
    try:
        tunnels = tunnels_of(topology, Offer(secrets.token_hex(16).encode(), ike, esp, arguments.ip, auth))
    except LookupError as error:
        raise UsageError(f"{topology.name}: {error}") from None
    speakers = Speakers(peers)
    return [speakers.told(tunnel, ike=bool(arguments.ike), esp=bool(arguments.esp)) for tunnel in tunnels]


def _folder(arguments: Namespace) -> Path:
    folder: Path = arguments.report or REPORTS / f"lab-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    if (folder / "captures").exists():
        raise UsageError(f"{folder} has captures of another lab")
    return folder


@contextmanager
def _waiting(text: str) -> Iterator[Callable[[str], None]]:
    """Something turns on a terminal, beside what is told of the progress."""
    if not sys.stderr.isatty():
        yield lambda _line: None
        return
    from rich.console import Console  # noqa: PLC0415

    with Console(stderr=True, emoji=False).status(text) as status:
        yield lambda line: status.update(f"{text}: {line}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
