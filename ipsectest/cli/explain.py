"""Explain captures and daemon logs: what happened, who refused what and why, and what to change.

Captures (pcap, pcapng) and logs (strongSwan's charon, Libreswan's pluto) are told apart by their content. Keys are not
needed, and tell more. Exit code: 0 nothing is wrong, 1 something failed, 2 a file cannot be read.
"""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipsectest.decrypt.pipeline import Decryption
    from ipsectest.explain.capture_facts import CaptureFacts

FAILED = 1


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="capture or log, compressed or not; - for a capture from a pipe"
    )
    parser.add_argument(
        "-k", "--keys", action="append", default=[], metavar="FILE", help="keys in any notation, or a folder of them"
    )
    parser.add_argument("--all", action="store_true", help="show every IKE SA and message")
    parser.add_argument("--json", action="store_true", help="print the explanation as JSON")


def execute(arguments: Namespace) -> int:
    """Explain; 1 if something failed."""
    from ipsectest.decrypt.keys import detect  # noqa: PLC0415 - nothing is imported for the help
    from ipsectest.decrypt.keys.model import KeyRing  # noqa: PLC0415
    from ipsectest.decrypt.pipeline import Decryption  # noqa: PLC0415
    from ipsectest.explain.explanation import explain  # noqa: PLC0415

    ring = KeyRing()
    for name in arguments.keys:
        ring.add(detect.read(Path(name)))
    run = Decryption(ring)
    told = explain([_capture(run, name) for name in arguments.files])
    told.notes += run.notes
    if arguments.json:
        import json  # noqa: PLC0415

        sys.stdout.write(json.dumps(told.as_json(), indent=1) + "\n")
    else:
        from rich.console import Console  # noqa: PLC0415

        from ipsectest.report.explanation import render  # noqa: PLC0415

        render(told.as_json(), Console(emoji=False, highlight=False), everything=arguments.all)
    return FAILED if told.has_failed else 0


def _capture(run: "Decryption", name: str) -> "CaptureFacts":
    from ipsectest.cli.reading import ReadingProgress  # noqa: PLC0415
    from ipsectest.decrypt.capture import open_capture  # noqa: PLC0415
    from ipsectest.explain.capture_facts import CaptureFacts  # noqa: PLC0415

    facts = CaptureFacts(Path(name).name if name != "-" else "standard input")
    run.observer = facts
    capture = open_capture(name)
    try:
        with ReadingProgress(capture.position) as progress:
            for frame in capture.frames():
                run.take(frame, capture.interfaces[frame.interface])
                progress()
    finally:
        run.notes += capture.notes
        capture.close()
    return facts
