"""A Scapy prompt with the layers of ipsectest: IKEv2 and its payloads, ESP, AH, NAT keepalive."""

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
    from ipsectest.layers.shell import start_shell  # noqa: PLC0415 - scapy takes half a second to import

    return start_shell(arguments.capture, arguments.command)
