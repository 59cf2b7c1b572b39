"""A Scapy prompt with the layers of ipsectest: IKEv2 and its payloads, ESP, AH, NAT keepalive."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ipsectest.base.errors import UsageError


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("capture", nargs="?", type=Path, help="a capture to open as `packets`")
    parser.add_argument("-c", "--command", help="run this instead of a prompt")


def execute(arguments: Namespace) -> int:
    """Open the prompt, or run one command."""
    if arguments.capture and not arguments.capture.is_file():
        raise UsageError(f"there is no capture {arguments.capture}")
    names = namespace(arguments.capture)
    if arguments.command:
        exec(compile(arguments.command, "--command", "exec"), names)  # noqa: S102 - it is what the user typed
        return 0
    import code  # noqa: PLC0415

    banner = "Scapy with the layers of ipsectest. Try: (IP()/UDP()/IKEv2()).show()"
    code.interact(banner, local=names, exitmsg="")
    return 0


def namespace(capture: Path | None) -> dict[str, object]:
    """What a line at the prompt may use: everything of scapy.all and of ipsectest.layers."""
    from importlib import import_module  # noqa: PLC0415

    names: dict[str, object] = {"__name__": "__console__"}
    for module in (import_module("scapy.all"), import_module("ipsectest.layers")):
        public = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
        names |= {name: getattr(module, name) for name in public}
    if capture:
        names["packets"] = names["rdpcap"](str(capture))  # type: ignore[operator]
        sys.stderr.write(f"packets = {names['packets']}\n")
    return names
