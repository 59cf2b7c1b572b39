"""Mutated captures and key files for ``ipsectest decrypt`` and ``keys``: nothing raises, hangs or piles up."""

import io
import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from ipsectest.base.errors import InputError
from ipsectest.decrypt.capture import open_capture, window
from ipsectest.decrypt.jsonl import JsonLines
from ipsectest.decrypt.keys import listing
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.output import Output
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.summary import summary
from ipsectest.decrypt.trial import Trial
from ipsectest.decrypt.wireshark_profile import profile
from ipsectest.decrypt.worker import decrypt_one
from ipsectest.report.decryption import problems
from ipsectest.report.timeline import page
from tests.hostile.files.containers import capture, compressed
from tests.hostile.files.key_files import key_file, read_everything
from tests.hostile.files.packets import packets
from tests.hostile.files.samples import Sample, samples
from tests.hostile.mutation import mutate, noise

CAP = 10.0
"""Seconds of CPU for one small file."""
CHUNKS = (window.CHUNK, window.CHUNK, 16, 100, 1500)
"""Octets that are read at once: small ones put the edge of the buffer near every structure."""


class HangError(BaseException):
    """A file took longer than the cap; no handler of Exception catches this."""


@dataclass
class Tally:
    """What became of the files."""

    kinds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    """Seconds of CPU."""
    slowest_number: int = -1


class FileAttack:
    """Files by number: the same seed and number give the same file."""

    def __init__(self, seed: int, folder: Path, *, only_fast: bool = False) -> None:
        self.seed = seed
        self.only_fast = only_fast
        """Captures for the fast path, nothing else."""
        self.chunk = window.CHUNK
        self.tries = False
        self.tally = Tally()
        self._capture, self._keys = folder / "capture", folder / "keys"
        self._kinds: dict[str, Callable[[random.Random], None]] = {
            "capture": self._with_capture,
            "key file": self._with_key_file,
            "both": self._with_both,
        }

    def run(self, numbers: range) -> None:
        """Throw so many files; AssertionError tells the number of the one that something was wrong with."""
        for failure in self.failures(numbers):
            raise failure

    def failures(self, numbers: range) -> Iterator[AssertionError]:
        """Throw so many files; an error for each that something was wrong with."""
        with _alarm():
            for number in numbers:
                try:
                    self.one(number)
                except AssertionError as error:
                    yield error

    def one(self, number: int) -> None:
        """One file, or a capture and its key file."""
        dice = random.Random(f"{self.seed}/{number}")
        kind = dice.choices(tuple(self._kinds), (1, 0, 0) if self.only_fast else (55, 35, 10))[0]
        self.tally.kinds[kind] += 1
        started = time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, CAP)
        try:
            self._kinds[kind](dice)
        except (Exception, HangError) as error:
            raise AssertionError(
                f"seed {self.seed}, file {number} ({kind}): {type(error).__name__}: {error}"
            ) from error
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        took = time.process_time() - started
        if took > self.tally.slowest:
            self.tally.slowest, self.tally.slowest_number = took, number

    def _with_capture(self, dice: random.Random) -> None:
        sample = dice.choice(samples())
        self._write_capture(sample, dice)
        self._decrypt(sample.ring, dice)

    def _with_key_file(self, dice: random.Random) -> None:
        ring = self._read_keys(dice)
        if ring is not None:
            rows = list(listing.lines(ring, secrets=True))
            assert rows
            json.dumps(listing.as_json(ring, secrets=True))

    def _with_both(self, dice: random.Random) -> None:
        sample = dice.choice(samples())
        self._write_capture(sample, dice)
        ring = KeyRing()
        if sample.text and dice.random() < 0.7:
            self._keys.write_bytes(mutate(sample.text, dice))
            ring.add(self._ring(dice) or KeyRing())
        else:
            ring.add(self._read_keys(dice) or KeyRing())
        self._decrypt(ring, dice)

    def _read_keys(self, dice: random.Random) -> KeyRing | None:
        self._keys.write_bytes(key_file(dice))
        return self._ring(dice)

    def _ring(self, dice: random.Random) -> KeyRing | None:
        del dice
        try:
            ring = read_everything(self._keys)
        except InputError as error:
            self._must_name(error, self._keys)
            self.tally.outcomes["key file refused"] += 1
            return None
        self.tally.outcomes["key file with problems" if ring.problems else "key file read"] += 1
        return ring

    @staticmethod
    def _must_name(error: InputError, path: Path) -> None:
        assert str(path) in str(error), error

    def _write_capture(self, sample: Sample, dice: random.Random) -> None:
        data = capture(packets(sample, dice), dice)
        match dice.randrange(10):
            case 0:
                data = compressed(data, dice)
            case 1 | 2:
                data = mutate(data, dice)
            case 3:
                data = data[: dice.randrange(len(data) + 1)]
            case 4:
                data = dice.choice((data[:24], b"", data[:48])) + noise(dice)
        self._capture.write_bytes(data)

    def _decrypt(self, ring: KeyRing, dice: random.Random) -> None:
        """As the command does; what it writes can be read again, and the fast path writes what the slow one does."""
        outer, lines = dice.random() < 0.2, dice.random() < 0.3
        if self.only_fast:
            outer = lines = False
        self.chunk = dice.choice(CHUNKS)
        self.tries = dice.random() < 0.1
        made = self._run(ring, outer=outer, lines=lines, fast=True)
        if made is None:
            self.tally.outcomes["capture refused"] += 1
            return
        run, written = made
        frames = self._frames(written)
        if run.totals.opened:
            self.tally.outcomes["capture with packets that open"] += 1
        elif run.totals.ike_opened:
            self.tally.outcomes["capture with IKE that opens"] += 1
        else:
            self.tally.outcomes["capture where nothing opens"] += 1
        if not outer and not lines and not self.only_fast and dice.random() < 0.2:
            slow = self._run(ring, outer=False, lines=False, fast=False)
            assert slow is not None
            assert frames == self._frames(slow[1]), "the fast path writes otherwise than the slow one"
            mine, theirs = summary(run), summary(slow[0])
            # It reads ahead, and so may meet damage that the slow one does not come to.
            assert set(theirs.pop("notes")) <= set(mine.pop("notes"))
            assert mine == theirs, (mine, theirs)

    def _run(self, ring: KeyRing, *, outer: bool, lines: bool, fast: bool) -> tuple[Decryption, bytes] | None:
        file, text = io.BytesIO(), io.StringIO()
        given = KeyRing()
        given.add(ring)
        window.CHUNK = self.chunk
        output = Output(file, with_outer=outer)
        run = Decryption(given, output, JsonLines(text) if lines else None)
        try:
            opened = open_capture(self._capture)
            run.trial = Trial(run.sas) if self.tries else None
        except InputError as error:
            self._must_name(error, self._capture)
            return None
        try:
            decrypt_one(run, opened, output, fast=fast)
        finally:
            opened.close()
        run.notes += opened.notes
        found = summary(run)
        json.dumps(found)
        assert all(isinstance(line, str) for line in problems(found))
        if self.tries:
            assert page(found).rstrip().endswith("</html>")
            assert all(profile(given, run.sas.sas, run.nat_t).files.values())
        for line in text.getvalue().splitlines():
            json.loads(line)
        return run, file.getvalue()

    def _frames(self, written: bytes) -> list[tuple[str, int, bytes, str]]:
        """What an output holds; the fast path declares interfaces earlier than the slow one."""
        path = self._capture.with_name("written.pcapng")
        path.write_bytes(written)
        again = open_capture(path)
        found = [
            (again.interfaces[one.interface].name, one.nanoseconds, bytes(one.data), one.comment)
            for one in again.frames()
        ]
        again.close()
        assert not again.notes, again.notes
        return found


@contextmanager
def _alarm() -> Iterator[None]:
    def hang(number: int, frame: FrameType | None) -> None:
        raise HangError(f"more than {CAP} s of CPU")

    before = signal.signal(signal.SIGVTALRM, hang)
    chunk = window.CHUNK
    try:
        yield
    finally:
        window.CHUNK = chunk
        signal.signal(signal.SIGVTALRM, before)
