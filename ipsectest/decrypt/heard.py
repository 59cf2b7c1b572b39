"""IKE messages of a part of a file: noted by the worker that reads it, opened by the one who knows what came before.

What opens a message, and which keys it tells, follows from those before it: IVs of IKEv1, shared secrets, fragments.
So a worker leaves the place of each message in what it writes empty; the parent fills it. Keys of SAs that a worker
can derive by itself it uses from the message on, as one process would; where it cannot, it is told them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO, StringIO
from typing import TypeVar

from ipsectest.decrypt.frames import Frame
from ipsectest.decrypt.jsonl import JsonLines
from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.decrypt.output import Output
from ipsectest.decrypt.pipeline import Decryption, Results, Totals

Octets = TypeVar("Octets", str, bytes | memoryview)
Told = tuple[tuple[SaKeys, ...], ...]
"""Keys that each message of a part brings, in the order of the messages."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A message where it came."""

    frame: Frame
    """Without its octets, numbered within the part."""
    packet: bytes
    """The IP packet with it."""
    is_inner: bool
    """Whether it came out of ESP or AH."""
    block_at: int
    """Where in the output of the part its block belongs, not counting those of other messages."""
    line_at: int


@dataclass(frozen=True, slots=True)
class Insertion:
    """What a message became, and where it goes."""

    block_at: int
    line_at: int
    block: bytes = b""
    line: str = ""


class Hearing:
    """Of a worker, for one part: ``Decryption.follow``. ``told`` are the keys of each message, None: not known yet."""

    def __init__(self, run: Decryption, blocks: BytesIO, lines: StringIO, told: Told | None) -> None:
        self.messages: list[Heard] = []
        self._run = run
        self._blocks, self._lines = blocks, lines
        self._start = blocks.tell()
        self._told = told
        self._derived: list[int] = []

    def __call__(self, frame: Frame, packet: bytes, is_inner: bool) -> None:
        """Note a message, and know what it tells."""
        told, number = self._told, len(self.messages)
        at = self._blocks.tell() - self._start, self._lines.tell()
        self.messages.append(Heard(replace(frame, data=b""), packet, is_inner, *at))
        if told is None:
            self._run.learn(frame.nanoseconds, packet)
        elif number < len(told):
            self._run.derived += told[number]
            for keys in told[number]:
                self._run.sas.add(keys)
        self._derived.append(len(self._run.derived))

    @property
    def derived(self) -> Told:
        """Keys that were used from each message on."""
        starts = [0, *self._derived]
        return tuple(tuple(self._run.derived[a:b]) for a, b in zip(starts, self._derived, strict=False))


@dataclass(slots=True)
class Followed:
    """What the messages of a part became."""

    heard: list[Heard]
    totals: Totals = field(default_factory=Totals)
    """Opened and closed messages."""
    told: Told = ()
    blocks: list[bytes] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def goes_with(self, heard: list[Heard]) -> bool:
        """Whether a part that was done again has the same messages."""
        return [one.packet for one in self.heard] == [one.packet for one in heard]

    def insertions(self, heard: list[Heard]) -> tuple[Insertion, ...]:
        """What is to be put into a part that has these messages."""
        return tuple(
            Insertion(one.block_at, one.line_at, block, line)
            for one, block, line in zip(heard, self.blocks, self.lines, strict=True)
        )


def follow(run: Decryption, heard: list[Heard], *, like: Output | None) -> Followed:
    """Follow the messages of the part whose turn it is. ``like``: how blocks are written; None: not at all."""
    made = Followed(heard)
    told = []
    for one in heard:
        blocks, lines = BytesIO(), StringIO()
        output = Output(blocks, comments=like.comments, numbers=like.numbers) if like else None
        start, known = blocks.tell(), len(run.derived)
        jsonl = JsonLines(lines) if run.tells else None
        run.learn(
            one.frame.nanoseconds, one.packet,
            Results(made.totals, one.frame, output=output, jsonl=jsonl, is_inner=one.is_inner),
        )  # fmt: skip
        told.append(tuple(run.derived[known:]))
        made.blocks.append(blocks.getvalue()[start:])
        made.lines.append(lines.getvalue())
    made.told = tuple(told)
    return made


def filled(whole: Octets, insertions: Iterable[tuple[int, Octets]]) -> Iterator[Octets]:
    """Pieces of what a worker wrote and of what belongs between, in order."""
    last = 0
    for at, piece in insertions:
        if at > last:
            yield whole[last:at]
        if piece:
            yield piece
        last = max(at, last)
    yield whole[last:]
