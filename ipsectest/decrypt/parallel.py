"""One large file on several cores: each worker reads a part of it, and what they found is put together."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path

from ipsectest.decrypt.capture.parts import Part, cut, ended_at_its_end, open_part
from ipsectest.decrypt.capture.walk import CaptureFile
from ipsectest.decrypt.fast import fast_path
from ipsectest.decrypt.keys.model import KeyRing, SaKeys
from ipsectest.decrypt.output import Output
from ipsectest.decrypt.pipeline import Decryption, Totals
from ipsectest.decrypt.sas import SaRecord


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs to know."""

    part: Part
    keys: KeyRing
    output: Path | None
    """Where the packets of this part go."""
    comments: bool
    fast: bool


@dataclass(slots=True)
class Found:
    """What a worker found."""

    is_whole: bool
    """Whether the part was read to its very end, where the next begins."""
    totals: Totals
    sas: list[SaRecord]
    derived: list[SaKeys]
    unknown: dict[tuple[int, bytes, str, str], int]
    notes: list[str] = field(default_factory=list)


def decrypt_one(run: Decryption, capture: CaptureFile, output: Output | None, *, fast: bool) -> None:
    """Every frame of an open capture, by the fast path where it can."""
    if fast and output is not None and not output.with_outer and not run.writes_lines:
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


@dataclass(frozen=True, slots=True)
class Workers:
    """How a file is shared out."""

    count: int
    folder: Path
    """Takes the outputs of parts for a while."""
    fast: bool = True
    step: Callable[[int, int], None] = lambda _done, _of: None
    """Is told how many of all parts are done."""


def decrypt_in_parts(run: Decryption, path: Path, keys: KeyRing, output: Output | None, workers: Workers) -> bool:
    """Decrypt a file with several workers at once; False, with nothing done, where it cannot be cut.

    A packet whose fragments (of IP or IKE) lie on both sides of a cut is lost.
    """
    parts = cut(path, workers.count)
    if len(parts) < 2:
        return False
    comments = output is not None and output.comments
    places = [workers.folder / f"part{n}" if output else None for n in range(len(parts))]
    work = [Job(part, keys, place, comments, workers.fast) for part, place in zip(parts, places, strict=True)]
    try:
        found = _work(work, workers.step)
        if found is None:
            return False
        for one in found:
            merge(run, one)
        for place in places:
            if output and place:
                output.append(place)
    finally:
        for place in places:
            if place:
                place.unlink(missing_ok=True)
    return True


def _work(work: Sequence[Job], step: Callable[[int, int], None]) -> list[Found] | None:
    """What all parts gave; None if one did not read to its end."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(len(work), mp_context=context) as pool:
        found = _run(pool, work, step)
        if not all(one.is_whole for one in found):  # the last may need an interface that an earlier one declares
            return None
        again = _with_derived_keys(work, found)
        for number, one in zip(again, _run(pool, list(again.values()), step), strict=True):
            found[number] = one
    return found


def _run(pool: ProcessPoolExecutor, work: Sequence[Job], step: Callable[[int, int], None]) -> list[Found]:
    futures = [pool.submit(work_off, job) for job in work]
    for done, _ in enumerate(as_completed(futures), 1):
        step(done, len(futures))
    return [future.result() for future in futures]


def _with_derived_keys(work: Sequence[Job], found: Sequence[Found]) -> dict[int, Job]:
    """Parts to do again, because earlier ones told keys of SAs that they could not open."""
    again: dict[int, Job] = {}
    derived: list[SaKeys] = []
    for number, one in enumerate(found):
        wanted = {(protocol, spi) for protocol, spi, _, _ in one.unknown}
        useful = [keys for keys in derived if (keys.protocol, keys.spi) in wanted]
        if useful:
            ring = KeyRing()
            ring.add(work[number].keys)
            ring.sas += useful
            old = work[number]
            again[number] = Job(old.part, ring, old.output, old.comments, old.fast)
        derived += one.derived
    return again


def work_off(job: Job) -> Found:
    """What a worker does."""
    with ExitStack() as stack:
        output = None
        if job.output:
            file = stack.enter_context(job.output.open("wb", buffering=1 << 20))
            output = Output(file, comments=job.comments)
        run = Decryption(job.keys, output)
        capture = open_part(job.part)
        stack.callback(capture.close)
        decrypt_one(run, capture, output, fast=job.fast)
        whole = ended_at_its_end(capture)
    records = [sa.record() for sa in run.sas.sas]
    return Found(whole, run.totals, records, run.derived, dict(run.sas.unknown), [*run.notes, *capture.notes])


def merge(run: Decryption, found: Found) -> None:
    """Add what a part had to the whole; parts come in their order."""
    for one in fields(Totals):
        mine, theirs = getattr(run.totals, one.name), getattr(found.totals, one.name)
        if isinstance(mine, int):
            setattr(run.totals, one.name, mine + theirs)
        else:
            mine.update(theirs)
    for sa in found.sas:
        run.sas.merge(sa)
    for name, packets in found.unknown.items():
        run.sas.unknown[name] += packets
    run.learned += len(found.derived)
    for note in found.notes:
        run.note(note)
