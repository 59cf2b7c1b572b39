"""tshark with the tables that our key log writes, in a configuration folder of its own."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from ipsectest.ike.keylog import KeyLog

_FIELDS = (
    "frame.number", "isakmp.exchangetype", "isakmp.typepayload", "isakmp.ikev2.integrity_checksum", "esp.spi",
    "esp.icv_good", "esp.icv_bad", "icmp.type", "ip.src", "_ws.malformed",
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """What tshark says of one frame."""

    number: int
    exchange: int | None
    payloads: tuple[int, ...]
    """Types of all payloads, those inside SK too if it could open it."""
    bad_ike_icv: bool
    esp: bool
    icv_good: bool
    icv_bad: bool
    icmp: tuple[int, ...]
    malformed: bool
    source: str
    """The innermost IPv4 source."""


def require_tshark() -> None:
    """Skip where it is not installed."""
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed (script/bootstrap installs it)")


def dissect(path: Path, log: KeyLog, folder: Path) -> list[Shown]:
    """Every frame of a capture, decrypted with the tables of ``log``; ``folder`` becomes the configuration."""
    folder.mkdir(exist_ok=True)
    for name, text in log.files().items():
        if name != "keys.toml":
            (folder / name).write_text(text)
    options = ("esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE")
    command = ["tshark", "-n", "-r", str(path), *(word for option in options for word in ("-o", option))]
    command += ["-T", "fields", "-E", "separator=;", *(word for field in _FIELDS for word in ("-e", field))]
    environment = os.environ | {"WIRESHARK_CONFIG_DIR": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
    assert "Error loading table" not in done.stderr, done.stderr
    return [_shown(line.split(";")) for line in done.stdout.splitlines()]


def _shown(columns: list[str]) -> Shown:
    number, exchange, payloads, checksum, spi, good, bad, icmp, sources, malformed = columns
    return Shown(
        int(number),
        int(exchange) if exchange else None,
        tuple(int(word) for word in payloads.split(",") if word),
        bool(checksum),
        bool(spi),
        _is_true(good),
        _is_true(bad),
        tuple(int(word) for word in icmp.split(",") if word),
        bool(malformed),
        sources.rsplit(",", 1)[-1],
    )


def _is_true(column: str) -> bool:
    return column in {"1", "True"}
