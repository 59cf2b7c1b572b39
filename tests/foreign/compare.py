"""One capture: decrypt's result, beside tshark's with the same keys."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ipsectest.base.errors import InputError
from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.keys import convert
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.worker import decrypt_one
from tests.foreign import tshark
from tests.hostile.files.samples import ROOT

_CAP = 120.0
EXPLAINED = {
    ("tcpdump", "espudp1.pcap"): "the key is wrong: what tshark and tcpdump show is noise",
    ("tcpdump", "ikev2pI2.pcap"): "the ICV is wrong: tshark says so too, and shows the payloads nevertheless",
}
"""Captures in which tshark shows more, for a reason that was looked into."""


@dataclass(slots=True)
class Row:
    """What came of a capture."""

    package: str
    capture: str
    frames: int = 0
    esp: int = 0
    """Packets of ESP and AH."""
    esp_opened: int = 0
    ike: int = 0
    ike_encrypted: int = 0
    ike_opened: int = 0
    same: int = 0
    """Frames that both opened, with the same content."""
    only_ours: int = 0
    only_tshark: list[int] = field(default_factory=list)
    differ: list[int] = field(default_factory=list)
    malformed: list[int] = field(default_factory=list)
    """Frames of our output that tshark marks, and that are not marked in the capture."""
    broken: str = ""
    """What went wrong with the command."""
    notes: list[str] = field(default_factory=list)

    @property
    def is_ipsec(self) -> bool:
        return bool(self.esp or self.ike)

    @property
    def explained(self) -> str:
        return EXPLAINED.get((self.package, self.capture), "") if self.only_tshark else ""

    @property
    def is_good(self) -> bool:
        return not (self.broken or self.differ or self.malformed or (self.only_tshark and not self.explained))


def compare(capture: Path, package: str, ring: KeyRing, folder: Path) -> Row:
    """Decrypt a capture; where it has IPsec by the command, beside tshark."""
    row = Row(package, capture.name)
    if not _carries_ipsec(capture, ring, row):
        return row
    folder.mkdir(parents=True, exist_ok=True)
    lines = _decrypt(capture, ring, folder, row)
    if row.broken or not row.is_ipsec:
        return row
    theirs = tshark.dissect(capture, ring, folder / "wireshark")
    opened = {line["frame"]: line for line in lines if _is_opened(line)}
    for number, line in opened.items():
        frame = theirs.get(number)
        if frame and _agrees(frame, line):
            row.same += 1
        elif frame is None or frame.malformed or not _opened_by(frame, line):
            row.only_ours += 1
        else:
            row.differ.append(number)
    closed = {line["frame"] for line in lines if line["type"] == "ike" and "failure" in line}
    row.only_tshark = [
        number
        for number, frame in theirs.items()
        if number not in opened and (frame.inner or (number in closed and frame.payloads)) and not frame.malformed
    ]
    if not any(frame.malformed for frame in theirs.values()):
        ours = tshark.dissect(folder / "clear.pcapng", None, folder / "plain")
        row.malformed = [number for number, frame in ours.items() if frame.malformed]
    return row


def _carries_ipsec(capture: Path, ring: KeyRing, row: Row) -> bool:
    """Whether there is ESP, AH or IKE in it; without a process for each."""
    try:
        opened = open_capture(capture)
    except InputError as error:
        row.notes = [str(error)]
        return False
    given = KeyRing()
    given.add(ring)
    run = Decryption(given)
    decrypt_one(run, opened, None, fast=False)
    opened.close()
    row.frames = run.totals.frames
    return bool(run.totals.ike or run.totals.closed or run.totals.opened)


def _decrypt(capture: Path, ring: KeyRing, folder: Path, row: Row) -> list[dict]:
    keys = convert.to_ours(ring).files.get("", "")
    given = ["-k", str(folder / "keys.toml")] if keys else []
    (folder / "keys.toml").write_text(keys)
    lines = folder / "lines.jsonl"
    options = ["-o", str(folder / "clear.pcapng"), "--jsonl", str(lines), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "ipsectest.cli.main", "decrypt", str(capture), *given, *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=_CAP, check=False,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().splitlines()
        # What is no capture is told so; anything else is a mistake of ours.
        row.broken = "" if done.returncode == 2 and "Traceback" not in done.stderr else said[-1] if said else "failed"
        row.notes = said[-1:]
        return []
    found = json.loads(done.stdout)
    read = [json.loads(line) for line in lines.read_text().splitlines()]
    row.frames, row.notes = found["frames"], found["notes"]
    row.esp = sum(line["type"] == "packet" for line in read)
    row.esp_opened = sum(line["type"] == "packet" and "inner" in line and "failure" not in line for line in read)
    row.ike = found["ike"]["messages"]
    row.ike_opened, closed = found["ike"]["opened"], found["ike"]["closed"]
    row.ike_encrypted = row.ike_opened + closed
    return read


def _is_opened(line: dict) -> bool:
    if line["type"] == "packet":
        return "inner" in line and "failure" not in line
    return line["encrypted"] and "failure" not in line


def _opened_by(frame: tshark.Frame, line: dict) -> bool:
    if line["type"] == "packet":
        return bool(frame.inner)
    return bool(frame.payloads)


def _agrees(frame: tshark.Frame, line: dict) -> bool:
    """The octets of a packet, or the payloads of a message."""
    if line["type"] == "packet":
        inner = bytes.fromhex(line["inner"]["octets"])
        return bool(frame.inner) and (inner == frame.inner[-1][: len(inner)] or inner.endswith(frame.inner[-1]))
    kinds = [payload["type"] for payload in line["payloads"] if payload["type"] not in tshark.ENCRYPTED]
    return kinds == list(frame.payloads)
