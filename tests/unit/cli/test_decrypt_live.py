"""A capture that is taken while it is decrypted: packets come out as they come in, keys when a daemon logs them."""

import contextlib
import os
import select
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipsectest.cli.main import main
from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.keys import detect, growing, ours
from ipsectest.decrypt.keys.growing import GrowingKeys
from ipsectest.decrypt.keys.merging import merged
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.worker import decrypt_one
from tests.unit.cli.test_decrypt import files
from tests.unit.decrypt.test_ikev1 import VECTORS
from tests.unit.decrypt.test_parallel import NAME

CAP = 60


class Live:
    """The command, fed frame by frame."""

    def __init__(self, *words: str) -> None:
        argv = [sys.executable, "-m", "ipsectest.cli.main", "decrypt", "-", *words]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
        self._give(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))

    def _give(self, octets: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(octets)

    def frame(self, packet: bytes) -> None:
        self._give(struct.pack("<IIII", 1, 0, len(packet), len(packet)) + packet)

    def read(self, mark: bytes, cap: float = CAP) -> bytes:
        """What comes out up to a mark, while nothing more goes in."""
        assert self.process.stdout
        found = b""
        while mark not in found:
            assert select.select([self.process.stdout], [], [], cap)[0], found[-200:]
            more = self.process.stdout.read(1 << 16)
            assert more, self.process.communicate()
            found += more
        return found


@contextlib.contextmanager
def live(*words: str) -> Iterator[Live]:
    made = Live(*words)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


def packets(path: str) -> list[bytes]:
    capture = open_capture(path)
    found = [bytes(frame.data) for frame in capture.frames()]
    capture.close()
    return found


@pytest.mark.parametrize("form", ["-o", "--jsonl"])
def test_what_comes_in_comes_out_at_once(form: str) -> None:
    """Also by the fast path, which reads on by itself."""
    capture, keys = files(NAME)
    opened = 0
    with live("-k", keys, form, "-") as run:
        if form == "-o":
            run.read(struct.pack("<I", 0x0A0D0D0A))  # before there is any packet
        for packet in packets(capture):
            run.frame(packet)
            if packet[9] == 50:
                spi = packet[20:24].hex()
                run.read(f"{spi} seq".encode() if form == "-o" else b"}\n")
                opened += 1
            elif form == "--jsonl":
                run.read(b"}\n")
    assert opened == 36


def test_keys_come_while_the_capture_is_taken(tmp_path: Path) -> None:
    capture, keys = files(NAME)
    ring = detect.read(Path(keys))
    growing_file = tmp_path / "keys.toml"
    growing_file.touch()
    written: set[bytes] = set()
    with live("-k", str(growing_file), "--follow", "-o", "-", "--write-keys", str(tmp_path / "all.toml")) as run:
        for packet in packets(capture):
            if packet[9] == 50 and packet[20:24] not in written:
                written.add(packet[20:24])
                some = KeyRing(sas=[sa for sa in ring.sas if sa.spi in written])
                growing_file.write_text(ours.write(some))
            run.frame(packet)
            if packet[9] == 50:
                run.read(f"{packet[20:24].hex()} seq".encode())
        run.process.stdin.close()
        run.process.stdin = None
        assert run.process.wait(CAP) == 0
    assert len(detect.read(tmp_path / "all.toml").sas) == len(written) == 4


def test_ike_opens_from_the_message_on_before_which_its_keys_were_written(tmp_path: Path) -> None:
    """An empty log, and a whole one when it is asked for, as a daemon writes it behind its first message."""
    for path, keys in ((files(NAME)[0], Path(files(NAME)[1])), (VECTORS / "main-aes.pcapng", VECTORS / "main-aes.log")):
        log = tmp_path / "log"
        log.write_bytes(b"")
        followed = GrowingKeys([log], detect.read, merged)
        run = Decryption(followed.ring)
        run.follow_keys(followed.seek)
        log.write_bytes(keys.read_bytes())
        capture = open_capture(str(path))
        decrypt_one(run, capture, None, fast=False)
        capture.close()
        assert run.totals.ike_opened >= 11
        assert not run.totals.ike_closed
        assert not run.totals.closed
        assert not run.missing


def test_keys_that_never_come_cost_less_and_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    log.write_text(ours.write(detect.read(Path(files(NAME)[1]))))
    reads = []
    followed = GrowingKeys([log], lambda path: reads.append(path) or detect.read(path), merged)
    for number in range(1000):
        os.utime(log, ns=(number, number))
        followed.seek(("spi",))
    assert len(reads) == 1 + growing.ALWAYS + 5  # 32, 64 ... 512
    monkeypatch.setattr(growing, "MOST_ASKED", 2)
    for number in range(1000):
        followed.seek((number,))
    assert len(followed._asked) <= 3


def test_a_file_in_the_middle_of_being_written_keeps_what_it_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(ours.write(detect.read(Path(files(NAME)[1]))))
    followed = GrowingKeys([log], detect.read, merged)
    known = len(followed.ring.sas)
    for text in ("", "no keys\n"):
        log.write_text(text)
        ring = followed.seek(text)
        assert ring
        assert len(ring.sas) == known
    log.unlink()
    assert followed.seek("gone") is not None
    assert followed.seek("still gone") is None


@pytest.mark.parametrize("words", [["-k", "k", "--jobs", "2"], ["-k", "k", "--dask", "tcp://x"], [], ["-k", "-"]])
def test_what_does_not_go_with_follow(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decrypt", "in", *words, "--follow"]) == 2
    assert "--follow" in capsys.readouterr().err
