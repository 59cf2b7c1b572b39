"""The files of one case beside its page: capture, keys, peer log and configuration, ladder, repro."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

from ipsectest.scenario.ports import PeerSettings

PRIVATE = 0o700
_NAMES = {
    "trace.pcapng": "pcap",
    "ikev2_decryption_table": "ikev2_table",
    "esp_sa": "esp_table",
    "keys.toml": "keys",
    "peer.log": "peer_log",
    "peer.conf": "peer_conf",
    "ladder.txt": "ladder",
    "repro.txt": "repro",
    "open.sh": "open",
}
_OPEN = """#!/bin/sh
# Wireshark with the keys of this case; VIEWER=tshark shows it in a terminal. Arguments are passed on.
here=$(cd "$(dirname "$0")" && pwd) || exit
WIRESHARK_CONFIG_DIR=$here exec "${VIEWER:-wireshark}" -o esp.enable_encryption_decode:TRUE -r "$here/trace.pcapng" "$@"
"""


def write(root: Path, folder: str, files: Mapping[str, str | bytes]) -> dict[str, str]:
    """Write the files of a case below the report folder; name in the report -> path relative to it."""
    target = root / folder
    target.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    written: dict[str, str] = {}
    if files.get("ikev2_decryption_table"):
        files = {**files, "open.sh": _OPEN}
    for name, content in files.items():
        if not content:
            continue
        path = target / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(errors="replace"))
        if name.endswith(".sh"):
            path.chmod(PRIVATE)
        written[_NAMES[name]] = f"{folder}/{name}"
    return written


def settings_text(settings: PeerSettings) -> str:
    """How the peer was set up, one field a line: the same text for every peer, so that runs can be compared."""
    lines = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        lines.append(f"{field.name} = {_shown(value)}\n")
    return "".join(lines)


def digest(text: str) -> str:
    """SHA-256 of a text in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_shown(item) for item in value) + "]"
    return str(value)
