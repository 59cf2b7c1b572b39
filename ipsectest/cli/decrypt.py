"""Decrypt captures: IKE and ESP in clear as pcapng or JSON lines, and what stayed closed with the reason."""

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from ipsectest.cli.outputs import STANDARD, check_outputs, is_pipe, outputs, written

if TYPE_CHECKING:
    from ipsectest.decrypt.keys.growing import GrowingKeys
    from ipsectest.decrypt.keys.model import KeyRing
    from ipsectest.decrypt.output import Output
    from ipsectest.decrypt.pipeline import Decryption
    from ipsectest.decrypt.wireshark_profile import ProfileFolder

_MOST_JOBS = 256
_LARGE = 1 << 24
"""Octets of a file for which one likes to know why several workers did not take it."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "captures", nargs="+", metavar="CAPTURE", help="pcap or pcapng, compressed or not; - for a pipe"
    )
    parser.add_argument(
        "-k", "--keys", action="append", default=[], metavar="FILE", help="keys in any notation, or a folder of them"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the packets in clear as pcapng; - for a pipe")
    parser.add_argument("--with-outer", action="store_true", help="write the captured frames beside those in clear")
    parser.add_argument("--no-comments", action="store_true", help="leave the comment of each packet out")
    parser.add_argument("--jsonl", metavar="FILE", help="write a JSON object for each packet and message; - for a pipe")
    parser.add_argument(
        "--write-keys", metavar="FILE", help="write all keys, derived ones too, for `ipsectest keys convert`"
    )
    parser.add_argument("--html", metavar="FILE", help="write a page with the SAs as bars in time; - for a pipe")
    parser.add_argument(
        "--wireshark", metavar="DIR", help="write a profile that makes Wireshark decrypt CAPTURE itself"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON instead of a table")
    parser.add_argument(
        "--jobs",
        type=_jobs,
        default=1,
        metavar="N",
        help="workers for each large file; 0: as many as cores (default: 1)",
    )
    parser.add_argument(
        "--dask", metavar="ADDRESS", help="have large files decrypted by the Dask cluster of this scheduler"
    )
    parser.add_argument(
        "--try", action="store_true", dest="tries", help="find by trial which keys belong to SAs that no file names"
    )
    parser.add_argument(
        "--nat-t-port", action="append", default=[], type=int, metavar="N", dest="nat_t_ports",
        help="a UDP port of NAT traversal beside 4500, for captures without the IKE messages that show it",
    )  # fmt: skip
    parser.add_argument(
        "--follow", action="store_true", help="read key files again as they grow: for a capture that is taken meanwhile"
    )
    parser.add_argument("--slow", action="store_true", help="do without the compiled fast path")


def _jobs(text: str) -> int:
    if not text.isdigit() or int(text) > _MOST_JOBS:
        raise ArgumentTypeError(f"a number from 0 to {_MOST_JOBS}")
    return int(text)


def execute(arguments: Namespace) -> int:
    """Decrypt, and print a summary."""
    from ipsectest.decrypt.keys import ours  # noqa: PLC0415 - nothing is imported for the help
    from ipsectest.decrypt.nat_t import NatT  # noqa: PLC0415
    from ipsectest.decrypt.output import Output  # noqa: PLC0415
    from ipsectest.decrypt.pipeline import Decryption  # noqa: PLC0415
    from ipsectest.decrypt.trial import Trial  # noqa: PLC0415

    _check(arguments)
    folder = _profile_folder(arguments)
    ring, growing = _read_keys(arguments)
    with ExitStack() as stack:
        output = jsonl = None
        if arguments.output:
            file = stack.enter_context(written(arguments.output))
            output = Output(file, with_outer=arguments.with_outer, comments=not arguments.no_comments)
        if arguments.jsonl:
            import io  # noqa: PLC0415

            from ipsectest.decrypt.jsonl import JsonLines  # noqa: PLC0415

            raw = stack.enter_context(written(arguments.jsonl))
            text = stack.enter_context(io.TextIOWrapper(raw, encoding="utf-8", write_through=False))
            jsonl = JsonLines(text)
        run = Decryption(ring, output, jsonl, nat_t=NatT(arguments.nat_t_ports))
        if arguments.tries:
            run.trial = Trial(run.sas)
        if growing:
            run.follow_keys(growing.seek)
        interrupted = _decrypt_all(run, output, ring, arguments)
    ring = growing.ring if growing else ring
    if arguments.write_keys:
        with written(arguments.write_keys) as file:
            file.write(ours.write(_known(run, ring)).encode())
    _report(run, arguments)
    if folder:
        _write_profile(run, ring, arguments, folder)
    if interrupted:
        raise KeyboardInterrupt
    return 0


def _read_keys(arguments: Namespace) -> "tuple[KeyRing, GrowingKeys | None]":
    """The keys of all files, and the files themselves if they are to be read again."""
    from ipsectest.decrypt.keys import detect  # noqa: PLC0415
    from ipsectest.decrypt.keys.growing import GrowingKeys  # noqa: PLC0415
    from ipsectest.decrypt.keys.merging import merged  # noqa: PLC0415
    from ipsectest.decrypt.keys.model import KeyRing  # noqa: PLC0415

    if arguments.follow:
        growing = GrowingKeys([Path(name) for name in arguments.keys], detect.read, merged)
        return growing.ring, growing
    ring = KeyRing()
    for name in arguments.keys:
        ring.add(detect.read(Path(name)))
    return merged(ring), None


def _decrypt_all(run: "Decryption", output: "Output | None", ring: "KeyRing", arguments: Namespace) -> bool:
    """Decrypt every capture; whether it was interrupted, which leaves complete files of what was done."""
    try:
        for name in arguments.captures:
            if not _decrypt_in_parts(run, output, ring, arguments, name):
                _decrypt_whole(run, output, arguments, name)
    except KeyboardInterrupt:
        return True
    return False


def _decrypt_whole(run: "Decryption", output: "Output | None", arguments: Namespace, name: str) -> None:
    from ipsectest.cli.reading import ReadingProgress  # noqa: PLC0415
    from ipsectest.decrypt.capture import open_capture  # noqa: PLC0415
    from ipsectest.decrypt.parallel import declare  # noqa: PLC0415
    from ipsectest.decrypt.worker import decrypt_one  # noqa: PLC0415

    if output and not is_pipe(name):
        declare(output, Path(name))  # as several workers do
    run.flush()  # whoever reads a pipe may wait for its header before there is a first packet
    capture = open_capture(name)
    capture.before_waiting(run.flush)
    try:
        with ReadingProgress(capture.position) as progress:
            run.looked = progress
            decrypt_one(run, capture, output, fast=not arguments.slow)
    finally:
        run.notes += capture.notes
        capture.close()


def _decrypt_in_parts(
    run: "Decryption", output: "Output | None", ring: "KeyRing", arguments: Namespace, name: str
) -> bool:
    """Use several workers, if they were asked for and the file can be cut."""
    if (_count(arguments) < 2 and not arguments.dask) or is_pipe(name):
        return False
    why = _in_parts(run, output, ring, arguments, Path(name))
    if why and (Path(name).stat().st_size >= _LARGE or arguments.dask):
        sys.stderr.write(f"{name}: decrypted by one process: {why}\n")
    return not why


def _count(arguments: Namespace) -> int:
    return arguments.jobs or os.cpu_count() or 1


def _in_parts(run: "Decryption", output: "Output | None", ring: "KeyRing", arguments: Namespace, path: Path) -> str:
    """Use several workers; why one process has to do it, else empty."""
    from ipsectest.cli.reading import ReadingProgress  # noqa: PLC0415
    from ipsectest.decrypt.parallel import Workers, decrypt_in_parts  # noqa: PLC0415

    state = [0, 1]
    with ReadingProgress(lambda: (state[0], state[1])) as progress:

        def step(done: int, of: int) -> None:
            state[:] = done, of
            progress()

        workers = Workers(_count(arguments), fast=not arguments.slow, step=step)
        if not arguments.dask:
            return decrypt_in_parts(run, path, ring, output, workers)
        from dataclasses import replace  # noqa: PLC0415

        from ipsectest.decrypt.cluster import Cluster  # noqa: PLC0415 - an extra

        with closing(Cluster(arguments.dask)) as cluster:
            workers = replace(workers, count=cluster.count, crew=cluster.crew)
            return decrypt_in_parts(run, path, ring, output, workers)


def _known(run: "Decryption", ring: "KeyRing") -> "KeyRing":
    """All keys, derived ones too."""
    from dataclasses import replace  # noqa: PLC0415

    found = run.trial.found if run.trial else []
    return replace(
        ring, sas=[*ring.sas, *run.derived, *found], ike=[*ring.ike, *run.derived_ike],
        ikev1=[*ring.ikev1, *run.ikev1.derived],
    )  # fmt: skip


def _profile_folder(arguments: Namespace) -> "ProfileFolder | None":
    if not arguments.wireshark:
        return None
    from ipsectest.decrypt.wireshark_profile import ProfileFolder  # noqa: PLC0415

    return ProfileFolder(Path(arguments.wireshark))


def _write_profile(run: "Decryption", ring: "KeyRing", arguments: Namespace, folder: "ProfileFolder") -> None:
    """Write it, and say how Wireshark takes it and what it cannot hold."""
    import shlex  # noqa: PLC0415

    from ipsectest.decrypt.wireshark_profile import profile  # noqa: PLC0415

    made = profile(_known(run, ring), run.sas.sas, run.nat_t)
    folder.write(made.files)
    # Standard output may be that of --json or of a file.
    sys.stderr.writelines(f"{line}\n" for line in made.left_out)
    for name in arguments.captures:
        capture = "CAPTURE" if name == STANDARD else shlex.quote(name)
        where = shlex.quote(os.path.abspath(arguments.wireshark))  # noqa: PTH100 - links stay as they were given
        sys.stderr.write(f"WIRESHARK_CONFIG_DIR={where} wireshark -r {capture}\n")


def _check(arguments: Namespace) -> None:
    """UsageError for inputs, outputs and options that do not go together; InputError for what is no capture."""
    from ipsectest.base.errors import UsageError  # noqa: PLC0415
    from ipsectest.decrypt.capture import open_capture  # noqa: PLC0415

    inputs = [*arguments.captures, *arguments.keys]
    if inputs.count(STANDARD) > 1:
        raise UsageError("standard input can be read once: for one capture, or for keys")
    names = outputs(arguments)
    check_outputs(names, inputs, arguments.wireshark)
    wrong = next((port for port in arguments.nat_t_ports if not 0 < port < 1 << 16), None)
    if wrong is not None:
        raise UsageError(f"{wrong} is no UDP port")
    if arguments.dask and any(map(is_pipe, arguments.captures)):
        raise UsageError("--dask takes files: its workers do not see pipes")
    if arguments.follow and (arguments.dask or arguments.jobs != 1):
        raise UsageError(
            "--follow goes with neither --dask nor --jobs: a capture that is taken now is read by one process"
        )
    if arguments.follow and all(map(is_pipe, arguments.keys)):
        raise UsageError("--follow needs a key file that may grow: --keys FILE")
    for name in arguments.captures:
        if not is_pipe(name):
            open_capture(name).close()  # before anything that is there is written over


def _report(run: "Decryption", arguments: Namespace) -> None:
    import json  # noqa: PLC0415

    from ipsectest.decrypt.summary import summary  # noqa: PLC0415

    found = summary(run, arguments.captures)
    if arguments.html:
        from ipsectest.report.timeline import page  # noqa: PLC0415

        with written(arguments.html) as file:
            file.write(page(found).encode())
    stream = sys.stderr if STANDARD in outputs(arguments) else sys.stdout
    if arguments.json:
        print(json.dumps(found, indent=1), file=stream)
        return
    from ipsectest.cli.console import open_console  # noqa: PLC0415
    from ipsectest.report.decryption import render  # noqa: PLC0415

    render(found, open_console(stream))
