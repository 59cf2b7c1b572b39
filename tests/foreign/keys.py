"""The keys that a package has for its captures: tables beside them, or what its test list gives to ``tcpdump -E``."""

import re
from pathlib import Path

from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.keys.model import KeyRing

_INPUT = re.compile(r"input => '([^']+)'")
_ARGUMENTS = re.compile(r"args\s*=> '([^']+)'")
_OPTION = re.compile(r"-E \"(file )?([^\"]+)\"")


def rings(package: Path) -> dict[str, KeyRing]:
    """Name of a capture -> its keys; those under "" are for every other one."""
    found: dict[str, KeyRing] = {"": KeyRing()}
    for path in sorted(package.rglob("*")):
        if re.search(r"(esp_sa|ikev[12]_decryption_table)(\.tmpl)?$", path.name):
            found[""].add(detect.read(path))
    for tests in package.rglob("crypto.tests"):
        for block in tests.read_text().split("},"):
            capture, arguments = _INPUT.search(block), _ARGUMENTS.search(block)
            option = _OPTION.search(arguments[1]) if arguments else None
            if capture and option:
                found.setdefault(capture[1], KeyRing()).add(_given(option, tests.parent))
    return found


def _given(option: re.Match[str], folder: Path) -> KeyRing:
    """What ``-E`` names or holds."""
    if option[1]:
        return detect.read(folder / Path(option[2]).name)
    written = folder / "given-to-tcpdump.txt"
    written.write_text(option[2].replace(",", "\n") + "\n")
    return detect.read(written)
