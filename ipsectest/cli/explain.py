"""Explain captures, daemon logs and counters: what happened, who refused what and why, and what to change.

Captures (pcap, pcapng), logs (strongSwan's charon, Libreswan's pluto) and what kernels counted (`ip -s xfrm state`,
/proc/net/xfrm_stat) are told apart by their content. Keys are not needed, and tell more. Exit code: 0 nothing is wrong,
1 something failed, 2 a file cannot be read.
"""

import sys
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from gzip import GzipFile

    from ipsectest.decrypt.keys.model import KeyRing
    from ipsectest.decrypt.pipeline import Decryption
    from ipsectest.explain.capture_facts import CaptureFacts
    from ipsectest.explain.logs.model import LogFacts

FAILED = 1
_STANDARD = "-"
_GZIP = b"\x1f\x8b"
_HEAD = 1 << 16
_PIECE = 1 << 20
MOST_OCTETS = 4 << 30
"""Of a pipe or a packed log: written down, because it is read more than once."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="capture, log or counters; - for a pipe")
    parser.add_argument(
        "-k", "--keys", action="append", default=[], metavar="FILE", help="keys in any notation, or a folder of them"
    )
    parser.add_argument("--all", action="store_true", help="show every IKE SA and message")
    parser.add_argument("--json", action="store_true", help="print the explanation as JSON")


def execute(arguments: Namespace) -> int:
    """Explain; 1 if something failed."""
    from ipsectest.base.errors import UsageError  # noqa: PLC0415 - nothing is imported for the help
    from ipsectest.decrypt.keys import detect  # noqa: PLC0415
    from ipsectest.decrypt.keys.merging import merged  # noqa: PLC0415
    from ipsectest.decrypt.keys.model import KeyRing  # noqa: PLC0415
    from ipsectest.decrypt.pipeline import Decryption  # noqa: PLC0415
    from ipsectest.explain.counters.reading import read_counters  # noqa: PLC0415
    from ipsectest.explain.explanation import explain  # noqa: PLC0415

    if [*arguments.files, *arguments.keys].count(_STANDARD) > 1:
        raise UsageError("standard input can be read once: for one file, or for keys")
    ring = KeyRing()
    for name in arguments.keys:
        ring.add(detect.read(Path(name)))
    with ExitStack() as stack:
        names = _names(arguments.files)
        paths = [(name, _on_disk(file, stack)) for name, file in zip(names, arguments.files, strict=True)]
        logs = {path: facts for name, path in paths if (facts := _logs(name, path))}
        counters = {path: read_counters(path, name) for name, path in paths if path not in logs}
        counted = [facts for facts in counters.values() if facts]
        captures = [(name, path) for name, path in paths if path not in logs and not counters[path]]
        if captures:
            _take_keys(ring, list(logs))
        run = Decryption(merged(ring))
        told = explain(
            [_capture(run, name, path) for name, path in captures],
            [one for facts in logs.values() for one in facts],
            counted,
        )
    told.notes += run.notes
    if arguments.json:
        import json  # noqa: PLC0415

        sys.stdout.write(json.dumps(told.as_json(), indent=1) + "\n")
    else:
        from ipsectest.cli.console import open_console  # noqa: PLC0415
        from ipsectest.report.explanation import render  # noqa: PLC0415

        render(told.as_json(), open_console(highlight=False), everything=arguments.all)
    return FAILED if told.has_failed else 0


def _on_disk(name: str, stack: ExitStack) -> Path:
    """A file that can be read more than once: what comes by a pipe or is a packed log is written down first."""
    if name == _STANDARD:
        return _written_down(sys.stdin.buffer, "standard input", stack)
    path = Path(name)
    with path.open("rb") as file:
        if path.is_fifo():
            return _written_down(file, name, stack)
        if file.read(2) != _GZIP:
            return path
    import gzip  # noqa: PLC0415
    import zlib  # noqa: PLC0415

    from ipsectest.decrypt.keys.envelope import opened_text  # noqa: PLC0415
    from ipsectest.explain.logs.reading import daemons_of  # noqa: PLC0415

    try:
        with gzip.open(path) as packed:
            if daemons_of(opened_text(packed.read(_HEAD).decode("utf-8", "replace"))):
                packed.seek(0)
                return _written_down(packed, name, stack)
    except (OSError, EOFError, zlib.error):
        pass  # a damaged file is for the reader of captures, who says what is wrong
    return path


def _written_down(source: "BinaryIO | GzipFile", name: str, stack: ExitStack) -> Path:
    import tempfile  # noqa: PLC0415

    from ipsectest.base.errors import InputError, Place  # noqa: PLC0415

    temporary = tempfile.NamedTemporaryFile(prefix="ipsectest-")  # noqa: SIM115 - the stack closes it
    file = stack.enter_context(temporary)
    left = MOST_OCTETS
    while piece := source.read(_PIECE):
        left -= len(piece)
        if left < 0:  # a packed file of a few kilobytes may hold a full disk
            raise InputError(f"holds more than {MOST_OCTETS >> 30} GiB; give it as a file, unpacked", Place(name))
        file.write(piece)
    file.flush()
    return Path(file.name)


def _names(files: list[str]) -> list[str]:
    """What each file is called in findings: its own name, or where two have the same, with its folder."""
    short = ["standard input" if name == _STANDARD else Path(name).name for name in files]
    return [one if short.count(one) == 1 else name for one, name in zip(short, files, strict=True)]


def _logs(name: str, path: Path) -> "list[LogFacts]":
    from ipsectest.cli.reading import ReadingProgress  # noqa: PLC0415
    from ipsectest.explain.logs.reading import read_logs  # noqa: PLC0415

    with ReadingProgress(lambda: (0, None)) as progress:
        return read_logs(path, name, looked=progress)


def _take_keys(ring: "KeyRing", logs: list[Path]) -> None:
    """Logs at a level that tells keys open the captures beside them."""
    from ipsectest.base.errors import InputError  # noqa: PLC0415
    from ipsectest.decrypt.keys import detect  # noqa: PLC0415

    for path in logs:
        try:
            found = detect.read(path)
        except InputError:
            continue
        if found.count:
            ring.add(found)


def _capture(run: "Decryption", name: str, path: Path) -> "CaptureFacts":
    from ipsectest.base.errors import InputError, Place  # noqa: PLC0415
    from ipsectest.cli.reading import ReadingProgress  # noqa: PLC0415
    from ipsectest.decrypt.capture import open_capture  # noqa: PLC0415
    from ipsectest.explain.reading import read_capture  # noqa: PLC0415

    try:
        capture = open_capture(path)
    except InputError as error:
        neither = f"{error.message}, no log of strongSwan or Libreswan, and no counters of a kernel"
        raise InputError(neither, Place(name), hint=error.hint) from error
    try:
        with ReadingProgress(capture.position) as progress:
            return read_capture(run, capture, name, looked=progress)
    finally:
        run.notes += capture.notes
        capture.close()
