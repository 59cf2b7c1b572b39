"""The lab: topologies to work in, its virtual machine, and removing what a run that was killed left."""

import sys
from argparse import REMAINDER, ArgumentParser, Namespace

from ipsectest.base.errors import UsageError
from ipsectest.cli import lab_exec, lab_up, topologies


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="up|exec|topologies|clean|vm")
    lab_up.add_arguments(actions.add_parser("up", help="a topology with IKE endpoints in it, to work with"))
    lab_exec.add_arguments(actions.add_parser("exec", help="a command, or a shell, at a node of a lab that is up"))
    listed = actions.add_parser("topologies", help="the topologies that there are")
    listed.add_argument("--json", action="store_true", help="print JSON instead of a table")
    actions.add_parser("clean", help="remove what dead runs left; running ones are not touched")
    vm = actions.add_parser("vm", help="a virtual machine whose kernel has ESP, AH, IPComp and netem")
    verbs = vm.add_subparsers(dest="verb", required=True, metavar="build|start|shell|stop")
    for verb, summary in (("build", "make the image, unless it is there"), ("start", "start it in the background")):
        one = verbs.add_parser(verb, help=summary)
        one.add_argument(
            "--peer", action="append", default=[], help="put an installed peer into it, such as strongswan"
        )
        one.add_argument("--python", action="store_true", help="put an interpreter into it")
        if verb == "start":
            one.add_argument("--daemon", action="store_true", help="let the first peer's daemon be running in it")
    shell = verbs.add_parser("shell", help="a shell in it (Ctrl-] leaves), or one command, or a script from a pipe")
    shell.add_argument("command", nargs=REMAINDER, help="the command; its exit status is ours")
    verbs.add_parser("stop", help="end it and remove everything")


def execute(arguments: Namespace) -> int:
    """Carry out the action."""
    match arguments.action:
        case "up":
            return lab_up.execute(arguments)
        case "exec":
            return lab_exec.execute(arguments)
        case "topologies":
            topologies.show(as_json=arguments.json)
            return 0
        case "clean":
            return _clean()
        case _:
            return _vm(arguments)


def _vm(arguments: Namespace) -> int:
    match arguments.verb:
        case "build" | "start":
            return _build(arguments)
        case "shell":
            return _shell(arguments.command)
        case _:
            return _stop()


def _clean() -> int:
    from ipsectest.lab import journal  # noqa: PLC0415
    from ipsectest.lab.orphans import remove_orphans  # noqa: PLC0415
    from ipsectest.lab.vm.sweep import sweep  # noqa: PLC0415
    from ipsectest.runner import guest  # noqa: PLC0415

    removed = [
        *map(str, [*journal.clean(), *remove_orphans()]),
        *(f"file {path}" for path in sweep(guest.cache_directory())),
    ]
    for thing in removed:
        print(f"removed {thing}")  # noqa: T201
    if not removed:
        print("nothing was left behind")  # noqa: T201
    return 0


def _build(arguments: Namespace) -> int:
    from ipsectest.lab.vm import keeper  # noqa: PLC0415
    from ipsectest.net import tun  # noqa: PLC0415
    from ipsectest.peers import table  # noqa: PLC0415
    from ipsectest.runner import guest  # noqa: PLC0415

    def progress(line: str) -> None:
        print(f"  {line}", file=sys.stderr)  # noqa: T201

    peers = [table.parse(text) for text in arguments.peer]
    daemon = arguments.verb == "start" and arguments.daemon
    if daemon and not peers:
        raise UsageError("--daemon needs a --peer")
    resident = guest.resident(peers[0]) if daemon else ""
    if arguments.verb == "start":
        tun.require()
    for name in peers:
        table.install(name, progress)
    image = guest.build(peers, progress, python=arguments.python)
    if arguments.verb == "build":
        print(f"kernel {image.release}, {image.size >> 20} MiB in {image.kernel.parent}")  # noqa: T201
        return 0
    kept = keeper.keep(image, guest.cache_directory(), resident)
    print(f"running: kernel {image.release}, 192.0.2.2 at the namespace {kept.namespace} (192.0.2.1)")  # noqa: T201
    print(f"{kept.share} is /lab inside")  # noqa: T201
    if daemon:
        print(f"{peers[0]} runs with {guest.RESIDENT} as its directory; its control socket stands there")  # noqa: T201
    return 0


def _shell(command: list[str]) -> int:
    import shlex  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    from ipsectest.lab.vm import keeper, terminal  # noqa: PLC0415

    kept = keeper.kept()
    if kept is None:
        raise UsageError("no virtual machine is running: ipsectest lab vm start")
    command = command[1:] if command[:1] == ["--"] else command
    if command:
        text = command[0] if len(command) == 1 else shlex.join(command)
    elif sys.stdin.isatty():
        terminal.attach(Path(kept.terminal))
        return 0
    else:
        text = sys.stdin.read()
    return lab_exec.carry_out(kept.channel, kept.watch, text)


def _stop() -> int:
    from ipsectest.lab.vm import keeper  # noqa: PLC0415

    print("stopped" if keeper.stop() else "no virtual machine is running")  # noqa: T201
    return 0
