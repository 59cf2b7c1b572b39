"""The keys that the ends of a cell tell, as the files that decrypt and Wireshark take."""

from pathlib import Path
from tempfile import TemporaryDirectory

from ipsectest.base.errors import InputError
from ipsectest.decrypt.keys import convert, detect, ours
from ipsectest.decrypt.keys.model import KeyRing


def key_ring(text: str) -> KeyRing:
    """What a daemon's log or our own ``keys.toml`` tells; an empty ring if that is nothing."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "daemon.log"
        path.touch(0o600)
        path.write_text(text)
        try:
            return detect.read(path)
        except InputError:  # empty, or no log
            return KeyRing()


def key_files(ring: KeyRing) -> dict[str, str]:
    """``keys.toml`` and Wireshark's tables by name; nothing for an empty ring."""
    if not ring.count:
        return {}
    return {"keys.toml": ours.write(ring), **convert.TARGETS["wireshark"](ring).files}
