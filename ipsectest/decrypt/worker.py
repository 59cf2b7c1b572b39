"""One of several processes that read a file: it works off parts, one after the other, as it is told."""

import io
import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from ipsectest.decrypt.capture.parts import Part, behind, ended_at_its_end, open_part
from ipsectest.decrypt.capture.walk import CaptureFile
from ipsectest.decrypt.fast import fast_path
from ipsectest.decrypt.jsonl import JsonLines, counted_on
from ipsectest.decrypt.keys.model import KeyRing, SaKeys
from ipsectest.decrypt.nat_t import NatT, Pair
from ipsectest.decrypt.output import InterfaceNumbers, Output
from ipsectest.decrypt.pipeline import Decryption, Totals
from ipsectest.decrypt.sas import SaRecord, Tracks
from ipsectest.decrypt.trial import Trial, TrialState
from ipsectest.decrypt.trial_seams import Tries


@dataclass(frozen=True, slots=True)
class Job:
    """A part to be decrypted, and what was derived since the start."""

    part: Part
    derived: Sequence[SaKeys]
    nat_t: frozenset[Pair] = frozenset()
    tracks: Tracks = field(default_factory=dict)
    """Of SAs whose numbers have to be looked at together with those of the parts before."""
    trial: TrialState | None = None
    """Where keys are tried: what the parts before tell."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What a worker is told of a part when all before it are known."""

    offset: int
    """Where its packets go."""
    frames: int
    """Before it."""


@dataclass(slots=True)
class Found:
    """What a worker found in a part."""

    is_whole: bool
    """Whether the part was read to its very end, where the next begins, and declares no interfaces."""
    totals: Totals
    sas: list[SaRecord]
    unknown: dict[tuple[int, bytes, str, str], int]
    messages: list[tuple[int, bytes]]
    """Times and IP packets of IKE messages."""
    octets: int
    """To be written."""
    packets: int
    refused: set[Pair]
    """Ends between which UDP may be ESP."""
    fragmented: set[tuple[object, ...]] = field(default_factory=set)
    """IKE messages of which fragments came."""
    incomplete: set[tuple[object, ...]] = field(default_factory=set)
    """Those whose other fragments lie behind the part, or nowhere."""
    late: int = 0
    """Number, in the part behind it, of the last frame that completes a packet of this one; 0: none."""
    told_first: int = 0
    """Number of its first frame with something in clear; 0: none, or the fast path took all."""
    derived: frozenset[tuple[int, bytes]] = frozenset()
    """Protocol and SPI of SAs whose keys follow from messages in the part alone."""
    tries: Tries | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is the same for all parts."""

    keys: KeyRing
    descriptor: int | None
    """Of the file for what was decrypted; None: there is none."""
    numbers: InterfaceNumbers
    with_outer: bool = False
    comments: bool = True
    fast: bool = True
    lines: bool = False
    """Whether packets and messages are told as JSON lines."""
    nat_t_ports: frozenset[int] = frozenset()


def decrypt_one(run: Decryption, capture: CaptureFile, output: Output | None, *, fast: bool) -> None:
    """Every frame of an open capture, by the fast path where it can."""
    if fast and output is not None and not output.with_outer and run.tells is None:
        run.fast = fast_path(capture, output)
    frames = capture.frames()
    try:
        while True:
            if run.fast:
                run.fast.run()
            frame = next(frames, None)
            if frame is None:
                break
            run.take(frame, capture.interfaces[frame.interface])
            run.looked()
    finally:
        run.finish()


def work(connection: Connection, others: Sequence[Connection], conditions: Conditions) -> None:
    """For each job: report what was found; then write the packets at the offset that comes back, None: nowhere."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells when it is over
    for other in others:
        other.close()
    buffer = Buffer()
    try:
        while (job := connection.recv()) is not None:
            buffer.seek(0)
            found, start, lines = work_off(job, conditions, buffer)
            connection.send(found)
            placed = connection.recv()
            if placed is not None:
                problem = _write(conditions.descriptor, buffer, start, start + found.octets, placed.offset)
                connection.send(problem or counted_on(lines, placed.frames).encode())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone


def work_off(job: Job, conditions: Conditions, buffer: "Buffer") -> tuple[Found, int, str]:
    """Decrypt a part into ``buffer``; the offset there of its first packet, and its JSON lines."""
    ring = KeyRing()
    ring.add(conditions.keys)
    ring.sas += job.derived
    ring.sas += job.trial.found if job.trial else ()
    messages: list[tuple[int, bytes]] = []
    numbers = InterfaceNumbers(dict(conditions.numbers.inner), dict(conditions.numbers.outer))
    with ExitStack() as stack:
        output = None
        if conditions.descriptor is not None:
            output = Output(buffer, with_outer=conditions.with_outer, comments=conditions.comments, numbers=numbers)
        start = buffer.tell()
        text = io.StringIO()
        jsonl = JsonLines(text) if conditions.lines else None
        run = Decryption(ring, output, jsonl, nat_t=NatT(conditions.nat_t_ports, job.nat_t))
        run.heard = lambda at, packet: messages.append((at, packet))
        run.sas.go_on(job.tracks)
        if job.trial:
            run.trial = Trial(run.sas, job.trial)
        capture = open_part(job.part)
        stack.callback(capture.close)
        declared = len(capture.interfaces)
        decrypt_one(run, capture, output, fast=conditions.fast)
        # A stream may go on in other parts, and what it carries is told by its start.
        whole = not run.totals.tcp and ended_at_its_end(capture) and len(capture.interfaces) <= max(1, declared)
        late = 0
        if run.awaits_fragments and (rest := behind(job.part)):
            late = _complete(run, rest)
    sas = [sa.record() for sa in run.sas.sas if sa.traffic.packets or sa.failures]
    return Found(
        whole and numbers == conditions.numbers, run.totals, sas, dict(run.sas.unknown), messages,
        buffer.tell() - start, output.written if output else 0, run.nat_t.refused,
        {*run.ike.fragmented}, {*run.ike.incomplete}, late, run.told_first,
        frozenset((keys.protocol, keys.spi) for keys in run.derived),
        Tries.since(job.trial, run.trial) if job.trial and run.trial else None, [*run.notes, *capture.notes],
    ), start, text.getvalue()  # fmt: skip


def _complete(run: Decryption, rest: Part) -> int:
    """Look behind the end of a part for fragments of packets that began in it; the frame with the last of them."""
    last = 0
    capture = open_part(rest)
    try:
        for frame in capture.frames():
            if run.take_late(frame, capture.interfaces[frame.interface]):
                last = frame.number
            if not run.awaits_fragments:
                break
    finally:
        capture.close()
    return last


class Buffer(io.BytesIO):
    """Its memory is used again for the next part."""

    def seekable(self) -> bool:
        """Whether others may write into it."""
        return False


def _write(descriptor: int | None, buffer: Buffer, start: int, end: int, offset: int) -> OSError | None:
    if descriptor is None:
        return None
    try:
        with buffer.getbuffer() as octets:
            while start < end:
                written = os.pwrite(descriptor, octets[start:end], offset)
                start, offset = start + written, offset + written
    except OSError as error:
        return error
    return None
