"""One large file on several cores: workers read parts of it, and what they find is put together in order.

Every worker here writes its packets into the output itself, at the offset that follows from the parts before it. The
negotiations are followed here, because an IKE SA's exchanges may lie in any part.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from enum import Enum, auto
from pathlib import Path

from ipsectest.decrypt.capture.opening import open_capture
from ipsectest.decrypt.capture.parts import Part, cut
from ipsectest.decrypt.crew import Crew, ForkedCrew, Member
from ipsectest.decrypt.keys.model import KeyRing
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


def decrypt_in_parts(run: Decryption, path: Path, keys: KeyRing, output: Output | None, workers: Workers) -> bool:
    """Decrypt a file with several workers at once; False, with nothing done, where it cannot be cut.

    Raises WorkerError and OSError of what could not be written. After KeyboardInterrupt ``run`` and ``output``
    hold the parts that were done.
    """
    place = output.place() if output else None
    if (output and not place) or _depend(run, keys):
        return False
    size = path.stat().st_size
    longest = LONGEST_PART if run.tells is None else LONGEST_TOLD
    parts = cut(path, min(longest, size // (workers.count * _PARTS_EACH)))
    first = next(parts, None)
    if first is None or first.end == size:
        return False
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
    queue = _Queue(run, start, lambda done: workers.step(done, size), seams)
    crew = workers.crew(workers.count, conditions)
    is_whole = None
    try:
        is_whole = queue.work(crew, first, parts)
    except KeyboardInterrupt:
        queue.conclude(run, output)
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
        queue.conclude(run, output)
    return is_whole


def _depend(run: Decryption, keys: KeyRing) -> bool:
    """Whether messages open by what earlier ones tell; derived keys are tried from the message on that tells them."""
    return bool(keys.ikev1 or keys.dh or keys.without_salt or (run.trial and keys.ike))


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
    own: frozenset[tuple[int, bytes]] = frozenset()
    """SAs whose keys the worker derives itself, when it comes to the message."""
    learned: frozenset[Pair] = frozenset()
    """Ends of NAT traversal that it shall know from the start: those of the parts before."""
    found: Found | None = None
    is_heard: bool = False
    """Whether its IKE messages were followed."""
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

    def __init__(self, run: Decryption, offset: int, step: Callable[[int], None], seams: Seams) -> None:
        self.kept = offset
        """End of what was written without a gap."""
        self._run = run
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
                    raise said
                self._written(self._of.pop(member), said if isinstance(said, bytes) else b"")
                waiting = self._give(member, waiting, parts)
        return True

    def conclude(self, run: Decryption, output: Output | None) -> None:
        """Add up what the parts had that were written."""
        done = [piece.found for piece in self._pieces[: self._done] if piece.found]
        for found in done:
            merge(run, found)
        if output:
            output.end_at(self.kept, sum(found.packets for found in done))

    def _give(self, member: Member, part: Part | None, parts: Iterator[Part]) -> Part | None:
        if part is not None:
            piece = _Piece(part, member, len(self._run.derived), learned=self._run.nat_t.pairs)
            self._pieces.append(piece)
            self._of[member] = piece
            member.send(self._job(piece))
            return next(parts, None)
        return None

    def _job(self, piece: _Piece) -> Job:
        derived = self._run.derived
        behind = [keys for keys in derived[piece.before :] if (keys.protocol, keys.spi) not in piece.own]
        if self._tries:
            piece.trial = self._tries.state
        return Job(piece.part, (*derived[: piece.before], *behind), piece.learned, piece.tracks, piece.trial)

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
        if not found.is_whole or self._seams.tears(found, following) or self._overflows(found):
            return _Turn.TORN
        if self._misses_keys(piece, found) or self._tries_otherwise(piece, found):
            return _Turn.AGAIN
        tracks = self._seams.tracks_for(found)
        if not tracks:
            return _Turn.READY
        if not tracks.keys().isdisjoint(piece.tracks):  # they did not help
            return _Turn.TORN
        piece.tracks |= tracks
        return _Turn.AGAIN

    def _misses_keys(self, piece: _Piece, found: Found) -> bool:
        """Follow its IKE messages, once; whether keys or ports of NAT traversal open more of it."""
        misses_esp = False
        if not piece.is_heard:
            piece.is_heard = True
            piece.learned = self._run.nat_t.pairs
            piece.before, piece.own = len(self._run.derived), found.derived
            misses_esp = not found.refused.isdisjoint(piece.learned)
            for at, packet in found.messages:
                self._run.learn(at, packet)
            found.messages.clear()
        return misses_esp or _opens_more(piece, found, self._run)

    def _put(self, piece: _Piece) -> None:
        """In its place all of it is what one process would have."""
        found = piece.found
        if found is None:
            return
        piece.offset = self._offset
        self._offset += found.octets
        self._placed += 1
        piece.worker.send(Placed(piece.offset, self._seams.frames))
        self._seams.pass_on(found)
        if self._tries and found.tries:
            self._tries.pass_on(found.tries, found.sas)

    def _tries_otherwise(self, piece: _Piece, found: Found) -> bool:
        if self._tries is None or found.tries is None or piece.trial is None:
            return False
        return self._tries.differs(piece.trial, found.tries)

    def _overflows(self, found: Found) -> bool:
        return self._tries is not None and found.tries is not None and self._tries.overflows(found.tries)

    def _following(self) -> Found | None:
        """What is known of the part behind the one whose turn it is."""
        behind = self._placed + 1
        return self._pieces[behind].found if behind < len(self._pieces) else None

    def _again(self, piece: _Piece) -> None:
        piece.found, piece.knew = None, len(self._run.derived)
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


def _opens_more(piece: _Piece, found: Found, run: Decryption) -> bool:
    """Whether keys that became known meanwhile are those of packets that stayed closed."""
    wanted = {(protocol, spi) for protocol, spi, _, _ in found.unknown} - piece.own
    return any((keys.protocol, keys.spi) in wanted for keys in run.derived[piece.knew :])


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
    for note in found.notes:
        run.note(note)
