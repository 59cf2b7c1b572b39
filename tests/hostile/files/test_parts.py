"""Mutated captures in parts by two workers: what one process finds, or nothing, so that one process does it all."""

import random
from pathlib import Path

import pytest

from ipsectest.decrypt.capture import open_capture, parts
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.output import Output
from ipsectest.decrypt.parallel import Workers, decrypt_in_parts
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.worker import decrypt_one
from tests.hostile.files.packets import packets
from tests.hostile.files.samples import samples
from tests.hostile.mutation import mutate
from tests.unit.decrypt.test_two_paths import pcap, pcapng

COUNT = 5


def frames(path: Path) -> list[tuple[int, bytes]]:
    """Comments aside: that a number came twice in two parts no worker sees."""
    capture = open_capture(path)
    found = [(frame.nanoseconds, bytes(frame.data)) for frame in capture.frames()]
    capture.close()
    assert not capture.notes
    return found


def decrypted(path: Path, ring: KeyRing, output: Path, workers: int) -> tuple[bool, list[tuple[int, bytes]]]:
    given = KeyRing()
    given.add(ring)
    in_parts = False
    with output.open("wb") as file:
        made = Output(file)
        run = Decryption(given, made)
        if workers > 1:
            in_parts = not decrypt_in_parts(run, path, given, made, Workers(workers))
        if not in_parts:
            capture = open_capture(path)
            decrypt_one(run, capture, made, fast=True)
            capture.close()
    return in_parts, frames(output)


def test_two_workers_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SMALLEST", 1 << 12)
    recorded = [sample for sample in samples() if sample.ring.sas and sample.text]
    cut = 0
    for number in range(COUNT):
        dice = random.Random(number)
        sample = dice.choice(recorded)
        rate = dice.choice((0.02, 0.02, 0.3))
        some = [one for _ in range(60) for one in (packets(sample, dice) if dice.random() < rate else sample.packets)]
        data = pcap(some) if dice.random() < 0.5 else pcapng(some, resolution=6, high=400_000)
        path = tmp_path / "capture"
        path.write_bytes(mutate(data, dice) if dice.random() < 0.3 else data)
        _, alone = decrypted(path, sample.ring, tmp_path / "one", 1)
        in_parts, together = decrypted(path, sample.ring, tmp_path / "two", 2)
        assert together == alone, number
        cut += in_parts
    assert cut
