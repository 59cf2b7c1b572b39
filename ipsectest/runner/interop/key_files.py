"""The keys that a daemon's log tells, as the files that decrypt and Wireshark take."""

from pathlib import Path
from tempfile import TemporaryDirectory

from ipsectest.base.errors import InputError
from ipsectest.decrypt.keys import convert, detect, ours


def key_files(log: str) -> dict[str, str]:
    """``keys.toml`` and Wireshark's tables by name; nothing if the log tells no keys."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "daemon.log"
        path.touch(0o600)
        path.write_text(log)
        try:
            ring = detect.read(path)
        except InputError:  # empty, or no log
            return {}
    if not ring.count:
        return {}
    return {"keys.toml": ours.write(ring), **convert.TARGETS["wireshark"](ring).files}
