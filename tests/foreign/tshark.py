"""What tshark makes of a capture with the same keys."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ipsectest.decrypt.keys import convert
from ipsectest.decrypt.keys.model import KeyRing

_OPTIONS = ("esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:FALSE")
_FIELDS = ("frame.number", "esp.contained_data", "isakmp.typepayload", "_ws.malformed")
ENCRYPTED = {46, 53}
STRUCTURES = {2, 3}
"""Proposals and transforms, which tshark lists among the payloads."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as tshark shows it."""

    inner: tuple[bytes, ...]
    """What ESP carried, of each layer that it opened."""
    payloads: tuple[int, ...]
    """Types of IKE payloads, encrypted ones and structures left out."""
    malformed: bool


def dissect(path: Path, ring: KeyRing | None, folder: Path) -> dict[int, Frame]:
    """Every frame by its number, with the tables of a ring; ``folder`` becomes the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (convert.wireshark(ring).files if ring else {}).items():
        (folder / name).write_text(text)
    argv = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "separator=;", "-E", "occurrence=a"]
    argv += [word for option in _OPTIONS for word in ("-o", option)]
    argv += [word for field in _FIELDS for word in ("-e", field)]
    environment = {**os.environ, "WIRESHARK_CONFIG_DIR": str(folder)}
    done = subprocess.run(argv, env=environment, capture_output=True, timeout=300, check=False)
    return dict(_frame(line.split(";")) for line in done.stdout.decode(errors="replace").splitlines())


def _frame(columns: list[str]) -> tuple[int, Frame]:
    number, inner, payloads, malformed = columns
    kinds = (int(word) for word in payloads.split(",") if word)
    return int(number), Frame(
        tuple(bytes.fromhex(word.replace(":", "")) for word in inner.split(",") if word),
        tuple(kind for kind in kinds if kind not in ENCRYPTED | STRUCTURES),
        bool(malformed),
    )
