"""One of several processes that read a file: it works off parts, one after the other, as it is told."""

import gc
import io
import os
import signal
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from typing import Any

from ipsectest.decrypt.capture.parts import Part, behind, ended_at_its_end, open_part
from ipsectest.decrypt.capture.walk import CaptureFile
from ipsectest.decrypt.fast import fast_path
from ipsectest.decrypt.heard import Heard, Hearing, Insertion, Told, filled
from ipsectest.decrypt.jsonl import JsonLines, counted_on
from ipsectest.decrypt.keys.model import KeyRing, SaKeys
from ipsectest.decrypt.nat_t import NatT, Pair
from ipsectest.decrypt.output import InterfaceNumbers, Output
from ipsectest.decrypt.pipeline import Decryption, Totals
from ipsectest.decrypt.sas import SaRecord, Tracks
from ipsectest.decrypt.streams import MOST_CONNECTIONS, End, Streams
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
    told: Told | None = None
    """Keys that its IKE messages bring, one after another; None: it is not known yet."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What a worker is told of a part when all before it are known."""

    offset: int
    """Where its packets go."""
    frames: int
    """Before it."""
    insertions: tuple[Insertion, ...] = ()
    """Its IKE messages."""


Connection = frozenset[End]


@dataclass(frozen=True, slots=True)
class TcpFound:
    """TCP connections of a part."""

    followed: frozenset[Connection] = frozenset()
    """Those that may have IKE and ESP."""
    passed: frozenset[Connection] = frozenset()

    def goes_on(self, before: Collection[Connection]) -> bool:
        """Whether one of those that were followed before may be here too."""
        here = self.followed | self.passed
        return bool(before) and (len(here) >= MOST_CONNECTIONS or not here.isdisjoint(before))


@dataclass(slots=True)
class Found:
    """What a worker found in a part."""

    torn: str
    """Why the part is not to be read by itself: it does not end where the next begins, declares interfaces ..."""
    totals: Totals
    sas: list[SaRecord]
    unknown: dict[tuple[int, bytes, str, str], int]
    messages: list[Heard]
    """IKE messages, whose blocks and lines are missing."""
    octets: int
    """To be written."""
    packets: int
    refused: set[Pair]
    """Ends between which UDP may be ESP."""
    tcp: TcpFound = field(default_factory=TcpFound)
    late: int = 0
    """Number, in the part behind it, of the last frame that completes a packet of this one; 0: none."""
    told_first: int = 0
    """Number of its first frame with something in clear; 0: none, or the fast path took all."""
    told: Told = ()
    """Keys that were used from each message on."""
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


def work(connection: Pipe, others: Sequence[Pipe], conditions: Conditions) -> None:
    """For each job: report what was found; then write the packets at the offset that comes back, None: nowhere."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells when it is over
    # What the parent left behind is not ours to clear away: it may wait for threads that were not forked along.
    gc.freeze()
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
                with buffer.getbuffer() as octets:
                    blocks = octets[start : start + found.octets]
                    problem = write_at(conditions.descriptor, with_blocks(blocks, placed), placed.offset)
                    blocks.release()
                connection.send(problem or with_lines(lines, placed))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone


def work_off(job: Job, conditions: Conditions, buffer: "Buffer") -> tuple[Found, int, str]:
    """Decrypt a part into ``buffer``; the offset there of its first packet, and its JSON lines."""
    ring = KeyRing()
    ring.add(conditions.keys)
    ring.sas += job.derived
    ring.sas += job.trial.found if job.trial else ()
    numbers = InterfaceNumbers(dict(conditions.numbers.inner), dict(conditions.numbers.outer))
    with ExitStack() as stack:
        output = None
        if conditions.descriptor is not None:
            output = Output(buffer, with_outer=conditions.with_outer, comments=conditions.comments, numbers=numbers)
        start = buffer.tell()
        text = io.StringIO()
        jsonl = JsonLines(text) if conditions.lines else None
        run = Decryption(ring, output, jsonl, nat_t=NatT(conditions.nat_t_ports, job.nat_t))
        run.follow = hearing = Hearing(run, buffer, text, job.told)
        run.sas.go_on(job.tracks)
        if job.trial:
            run.trial = Trial(run.sas, job.trial)
        capture = open_part(job.part)
        stack.callback(capture.close)
        declared = len(capture.interfaces)
        decrypt_one(run, capture, output, fast=conditions.fast)
        late = 0
        if run.awaits_fragments and (rest := behind(job.part)):
            late = _complete(run, rest)
    sas = [sa.record() for sa in run.sas.sas if sa.traffic.packets or sa.failures]
    return Found(
        _torn(run, capture, declared, numbers, conditions), run.totals, sas, dict(run.sas.unknown), hearing.messages,
        buffer.tell() - start, output.written if output else 0, run.nat_t.refused,
        _tcp(run.streams), late, run.told_first, hearing.derived,
        Tries.since(job.trial, run.trial) if job.trial and run.trial else None, [*run.notes, *capture.notes],
    ), start, text.getvalue()  # fmt: skip


def _torn(
    run: Decryption, capture: CaptureFile, declared: int, numbers: InterfaceNumbers, conditions: Conditions
) -> str:
    if not ended_at_its_end(capture):
        return "it is damaged, or cannot be cut where a frame begins"
    if len(capture.interfaces) > max(1, declared) or numbers != conditions.numbers:
        return "it declares interfaces behind its first frame"
    if run.streams.lost or run.streams.waited:
        return "it lacks octets of TCP connections with IKE or ESP"
    return ""


def _tcp(streams: Streams[Any]) -> TcpFound:
    return TcpFound(frozenset(streams.followed), frozenset(streams.passed))


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


def with_blocks(blocks: bytes | memoryview, placed: Placed) -> Iterator[bytes | memoryview]:
    """The output of a part, in pieces."""
    return filled(blocks, ((one.block_at, one.block) for one in placed.insertions))


def with_lines(lines: str, placed: Placed) -> bytes:
    """The JSON lines of a part, with numbers of the file."""
    text = "".join(filled(lines, ((one.line_at, one.line) for one in placed.insertions)))
    return counted_on(text, placed.frames).encode()


def write_at(descriptor: int | None, pieces: Iterable[bytes | memoryview], offset: int) -> OSError | None:
    """Write pieces one behind the other; None: nothing went wrong."""
    if descriptor is None:
        return None
    try:
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                written = os.pwrite(descriptor, rest, offset)
                rest, offset = rest[written:], offset + written
            rest.release()
    except OSError as error:
        return error
    return None
