"""One large file on several cores: workers read parts of it, and what they find is put together in order.

Every worker here writes its packets into the output itself, at the offset that follows from the parts before it. The
negotiations are followed here, because an IKE SA's exchanges may lie in any part.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from enum import Enum, auto
from itertools import zip_longest
from pathlib import Path

from ipsectest.decrypt.capture.opening import open_capture
from ipsectest.decrypt.capture.parts import Part, cut
from ipsectest.decrypt.crew import Crew, ForkedCrew, Member
from ipsectest.decrypt.heard import Followed, follow
from ipsectest.decrypt.keys.model import KeyRing, SaKeys
from ipsectest.decrypt.nat_t import Pair
from ipsectest.decrypt.output import InterfaceNumbers, Output
from ipsectest.decrypt.pipeline import Decryption, Totals
from ipsectest.decrypt.sas import Tracks
from ipsectest.decrypt.seams import Seams
from ipsectest.decrypt.trial import TrialState
from ipsectest.decrypt.trial_seams import TrialSeams
from ipsectest.decrypt.worker import Conditions, Found, Job, Placed

LONGEST_PART = 1 << 25
LONGEST_TOLD = 1 << 23
"""The same where JSON lines, which are several times as long, wait in memory for their turn."""
_PARTS_EACH = 4
"""Parts that each worker gets of a smaller file, so that none waits long for another."""


@dataclass(frozen=True, slots=True)
class Workers:
    """How a file is shared out."""

    count: int
    fast: bool = True
    step: Callable[[int, int], None] = lambda _done, _of: None
    """Is told how many octets of the file are done."""
    crew: Callable[[int, Conditions], Crew] = ForkedCrew
    """Takes so many on."""


def decrypt_in_parts(run: Decryption, path: Path, keys: KeyRing, output: Output | None, workers: Workers) -> str:
    """Decrypt a file with several workers at once; why one process has to, with nothing done, where they cannot.

    Raises WorkerError and OSError of what could not be written. After KeyboardInterrupt ``run`` and ``output``
    hold the parts that were done.
    """
    place = output.place() if output else None
    if output and not place:
        return "the output is a pipe"
    size = path.stat().st_size
    longest = LONGEST_PART if run.tells is None else LONGEST_TOLD
    parts = cut(path, min(longest, size // (workers.count * _PARTS_EACH)))
    first = next(parts, None)
    if first is None or first.end == size:
        return "it is short, compressed or of another byte order, or no frame was found to cut it at"
    numbers = InterfaceNumbers()
    if output:
        declare(output, path)
        numbers, place = output.numbers, output.place()
    conditions = Conditions(
        keys, place[0] if place else None, numbers, with_outer=bool(output and output.with_outer),
        comments=bool(output and output.comments), fast=workers.fast,
        lines=run.tells is not None, nat_t_ports=run.nat_t.ports,
    )  # fmt: skip
    start = place[1] if place else 0
    back = run.mark()
    if run.tells:
        run.tells.begin()
    seams = Seams(with_lines=run.tells is not None, with_outer=bool(output and output.with_outer))
    queue = _Queue(run, output, start, lambda done: workers.step(done, size), seams)
    crew = workers.crew(workers.count, conditions)
    is_whole = None
    try:
        is_whole = queue.work(crew, first, parts)
    except KeyboardInterrupt:
        queue.conclude()
        raise
    finally:
        crew.dismiss()
        if not is_whole and output and place:
            # One process begins anew where parts do not fit; what an interrupt or an error leaves is kept.
            output.end_at(queue.kept if is_whole is None else start, 0)
        if is_whole is False:
            back()
            if run.tells:
                run.tells.pass_over()
    if is_whole:
        queue.conclude()
    return queue.torn


def declare(output: Output, path: Path) -> None:
    """Declare the interfaces that a capture has in front of its first frame, in their order."""
    capture = open_capture(path)
    try:
        next(capture.frames(), None)
        output.declare(capture.interfaces)
    finally:
        capture.close()


@dataclass(slots=True)
class _Piece:
    """A part on its way."""

    part: Part
    worker: Member
    knew: int
    """How many derived keys the worker had."""
    before: int = 0
    """How many the parts before give."""
    learned: frozenset[Pair] = frozenset()
    """Ends of NAT traversal that it shall know from the start: those of the parts before."""
    found: Found | None = None
    followed: Followed | None = None
    """Its IKE messages, from when its turn comes."""
    offset: int = -1
    lines: bytes | None = None
    """JSON lines; None: it is not written yet."""
    tracks: Tracks = field(default_factory=dict)
    trial: TrialState | None = None


class _Turn(Enum):
    """What is to be done with a part."""

    WAIT = auto()
    AGAIN = auto()
    READY = auto()
    TORN = auto()
    """One process has to read the whole file."""


class _Queue:
    """Parts in their order: the first that is not placed yet decides where all behind it go."""

    def __init__(
        self, run: Decryption, output: Output | None, offset: int, step: Callable[[int], None], seams: Seams
    ) -> None:
        self.kept = offset
        """End of what was written without a gap."""
        self.torn = ""
        """Why one process has to read the whole file."""
        self._run = run
        self._output = output
        self._seams = seams
        self._tries = TrialSeams(run.trial, run.sas) if run.trial else None
        self._offset = offset
        self._step = step
        self._pieces: list[_Piece] = []
        self._placed = 0
        self._done = 0
        self._of: dict[Member, _Piece] = {}

    def work(self, crew: Crew, first: Part, parts: Iterator[Part]) -> bool:
        """Have every part decrypted; False if one is not what it seemed."""
        waiting: Part | None = first
        for member in crew.members:
            waiting = self._give(member, waiting, parts)
        while self._of:
            for member, said in crew.receive():
                if isinstance(said, Found):
                    self._of[member].found = said
                    if not self._place():
                        return False
                    continue
                if isinstance(said, OSError):
                    raise OSError(said.errno, said.strerror, self._output.name if self._output else None)
                self._written(self._of.pop(member), said if isinstance(said, bytes) else b"")
                waiting = self._give(member, waiting, parts)
        return True

    def conclude(self) -> None:
        """Add up what the parts had that were written."""
        done = [piece.found for piece in self._pieces[: self._done] if piece.found]
        for found in done:
            merge(self._run, found)
        if self._output:
            self._output.end_at(self.kept, sum(found.packets for found in done))

    def _give(self, member: Member, part: Part | None, parts: Iterator[Part]) -> Part | None:
        if part is not None:
            piece = _Piece(part, member, len(self._run.derived), learned=self._run.nat_t.pairs)
            self._pieces.append(piece)
            self._of[member] = piece
            member.send(self._job(piece))
            return next(parts, None)
        return None

    def _job(self, piece: _Piece) -> Job:
        if self._tries:
            piece.trial = self._tries.state
        derived = tuple(self._run.derived[: piece.knew])
        told = piece.followed.told if piece.followed else None
        return Job(piece.part, derived, piece.learned, piece.tracks, piece.trial, told)

    def _place(self) -> bool:
        """Tell every worker whose turn it is where to write, or to do it again; False if one process has to."""
        while self._placed < len(self._pieces):
            piece = self._pieces[self._placed]
            match self._turn(piece):
                case _Turn.WAIT:
                    return True
                case _Turn.AGAIN:
                    self._again(piece)
                    return True
                case _Turn.TORN:
                    return False
            self._put(piece)
        return True

    def _turn(self, piece: _Piece) -> "_Turn":
        """What is to be done with the part whose turn it is."""
        found, following = piece.found, self._following()
        if found is None or (self._seams.waits(found) and following is None and len(self._of) > 1):
            return _Turn.WAIT  # another worker has what is behind it
        self.torn = found.torn or self._seams.tears(found, following) or self._overflows(found)
        if not self.torn and (self._misses(piece, found) or self._tries_otherwise(piece, found)):
            return _Turn.AGAIN
        if piece.followed and not piece.followed.goes_with(found.messages):
            self.torn = self.torn or "IKE messages lie in packets that other IKE messages give the keys of"
        tracks = {} if self.torn else self._seams.tracks_for(found)
        if not tracks.keys().isdisjoint(piece.tracks):  # they did not help
            self.torn = "packets come again, or late, in a way that only the order of all of them tells"
        if self.torn:
            return _Turn.TORN
        piece.tracks |= tracks
        return _Turn.AGAIN if tracks else _Turn.READY

    def _misses(self, piece: _Piece, found: Found) -> bool:
        """Follow its IKE messages, once; whether it lacked ports or keys, or had them elsewhere, so that it matters."""
        misses_ports = False
        if piece.followed is None:
            piece.learned = self._run.nat_t.pairs
            misses_ports = not found.refused.isdisjoint(piece.learned)
            piece.before = len(self._run.derived)
            piece.followed = follow(self._run, found.messages, like=self._output)
        differ = {*self._run.derived[piece.knew : piece.before]}
        for used, told in zip_longest(found.told, piece.followed.told, fillvalue=()):
            differ |= {*used} ^ {*told}
        return misses_ports or (bool(differ) and _matter(differ, found))

    def _put(self, piece: _Piece) -> None:
        """In its place all of it is what one process would have."""
        found, followed = piece.found, piece.followed
        if found is None or followed is None:
            return
        insertions = followed.insertions(found.messages)
        found.messages.clear()
        found.octets += sum(len(one.block) for one in insertions)
        found.packets += sum(1 for one in insertions if one.block)
        add(found.totals, followed.totals)
        piece.followed = None
        piece.offset = self._offset
        self._offset += found.octets
        self._placed += 1
        piece.worker.send(Placed(piece.offset, self._seams.frames, insertions))
        self._seams.pass_on(found)
        if self._tries and found.tries:
            self._tries.pass_on(found.tries, found.sas)

    def _tries_otherwise(self, piece: _Piece, found: Found) -> bool:
        if self._tries is None or found.tries is None or piece.trial is None:
            return False
        return self._tries.differs(piece.trial, found.tries)

    def _overflows(self, found: Found) -> str:
        if self._tries is None or found.tries is None or not self._tries.overflows(found.tries):
            return ""
        return "--try meets a bound, and what is given up then follows from the order of all packets"

    def _following(self) -> Found | None:
        """What is known of the part behind the one whose turn it is."""
        behind = self._placed + 1
        return self._pieces[behind].found if behind < len(self._pieces) else None

    def _again(self, piece: _Piece) -> None:
        piece.found, piece.knew = None, piece.before
        piece.worker.send(None)
        piece.worker.send(self._job(piece))

    def _written(self, piece: _Piece, lines: bytes) -> None:
        piece.lines = lines
        while self._done < len(self._pieces) and (one := self._pieces[self._done]).lines is not None:
            if self._run.tells:
                self._run.tells.lines(one.lines)
            one.lines = b""
            self._done += 1
            self.kept = one.offset + (one.found.octets if one.found else 0)
            self._step(one.part.end)


def _matter(keys: Iterable[SaKeys], found: Found) -> bool:
    """Whether a part may open otherwise with keys or without them."""
    if found.refused or found.tcp.followed or (found.tries and found.tries.asked):
        return True  # SPIs tell ESP where nothing else does, and all keys are tried
    seen = {(protocol, spi) for protocol, spi, _, _ in found.unknown}
    seen |= {(record.keys.protocol, record.keys.spi) for record in found.sas}
    return any((one.protocol, one.spi) in seen for one in keys)


def add(totals: Totals, more: Totals) -> None:
    """Count what another run counted."""
    for one in fields(Totals):
        mine, theirs = getattr(totals, one.name), getattr(more, one.name)
        if isinstance(mine, int):
            setattr(totals, one.name, mine + theirs)
        else:
            mine.update(theirs)


def merge(run: Decryption, found: Found) -> None:
    """Add what a part had to the whole; parts come in their order."""
    add(run.totals, found.totals)
    for sa in found.sas:
        run.sas.merge(sa)
    for name, packets in found.unknown.items():
        run.sas.unknown[name] += packets
    for note in found.notes:
        run.note(note)
