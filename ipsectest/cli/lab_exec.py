"""``ipsectest lab exec``: into a node of a lab that is up, from another terminal."""

import os
import shlex
import sys
from argparse import REMAINDER, ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ipsectest.base.errors import UsageError

if TYPE_CHECKING:
    from ipsectest.runner.testbed.running import Guest, Running

_CAP = 86_400.0
_KEPT = 1 << 20
_EPILOG = """a command's exit status is that of ipsectest. Without a command: a shell, or a script from a pipe.
Ctrl-] leaves a shell in the virtual machine."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    parser.add_argument("--lab", metavar="TOPOLOGY|PID", default="", help="which one, where several are up")
    parser.add_argument("node", metavar="NODE", help="such as client: the lab's prompt lists them")
    parser.add_argument("command", nargs=REMAINDER, metavar="COMMAND...", help="such as tcpdump -ni any")


def execute(arguments: Namespace) -> int:
    """Find the lab and go there."""
    from ipsectest.runner.testbed.running import enter, running  # noqa: PLC0415

    command: list[str] = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    found, node = _pick(running(), arguments.lab, arguments.node), str(arguments.node)
    if found.guest and node in found.guests:
        return _in_guest(found.guest, node, command)
    return enter(found.entering(node, command or [shell()]))[0]


def shell() -> str:
    """The user's."""
    return os.environ.get("SHELL", "/bin/sh")


def carry_out(channel: str, watch: str, text: str) -> int:
    """Run a script in a guest, its output shown as it comes."""
    from ipsectest.lab.vm import remote_script  # noqa: PLC0415

    return remote_script.carry_out(Path(channel), Path(watch), text, _show, _CAP)


def carry_out_at(guest: "Guest", node: str, command: str, *, is_captured: bool = False) -> tuple[int, str]:
    """Run a command line at a node in the virtual machine: its exit status, and the output if it is captured."""
    from ipsectest.lab.vm import remote_script  # noqa: PLC0415

    output = bytearray()

    def keep(data: bytes) -> None:
        output.extend(data[: _KEPT - len(output)])

    text = f"exec nsenter --net=/run/netns/{node} {command}"
    sink = keep if is_captured else _show
    status = remote_script.carry_out(Path(guest.channel), Path(guest.watch), text, sink, _CAP)
    return status, output.decode(errors="replace")


def _show(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def attach(terminal: str, node: str) -> None:
    """A shell at a node in the virtual machine."""
    from ipsectest.lab.vm import terminal as guest  # noqa: PLC0415

    guest.attach(Path(terminal), node)


def _in_guest(guest: "Guest", node: str, command: list[str]) -> int:
    if not command and sys.stdin.isatty():
        attach(guest.terminal, node)
        return 0
    inside = shlex.join(command) if command else f"sh -c {shlex.quote(sys.stdin.read())}"
    return carry_out_at(guest, node, inside)[0]


def _pick(up: "list[Running]", asked: str, node: str) -> "Running":
    """The lab that is meant; UsageError where that is not clear."""
    if not up:
        raise UsageError("no lab is up: ipsectest lab up TOPOLOGY in another terminal")
    named = [one for one in up if asked in {"", one.topology, str(one.pid)}]
    if not named:
        raise UsageError(f"--lab {asked}: there are {', '.join(_name(one) for one in up)}")
    having = [one for one in named if node in one.nodes]
    if not having:
        nodes = dict.fromkeys(name for one in named for name in one.nodes)
        raise UsageError(
            f"no node {node!r} in {' or '.join(_name(one) for one in named)} (there are {', '.join(nodes)})"
        )
    if len(having) > 1:
        raise UsageError(f"{node} is in several labs, say --lab: {', '.join(_name(one) for one in having)}")
    return having[0]


def _name(one: "Running") -> str:
    return f"{one.topology} ({one.pid})"
