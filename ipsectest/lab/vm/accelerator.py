"""Hardware virtualisation or software emulation: decided by booting a guest, because a device file proves nothing.

Where this machine is itself virtual, ``/dev/kvm`` may open and a guest still hang.
"""

import hashlib
import os
from pathlib import Path

from ipsectest.base.errors import LabError
from ipsectest.lab.lab import Lab
from ipsectest.lab.vm.image import Image
from ipsectest.lab.vm.machine import Machine
from ipsectest.lab.vm.qemu import PROGRAM

_PATIENCE = 5.0


def choose(cache_directory: Path, image: Image) -> str:
    """``kvm`` if a guest boots with it within seconds, else ``tcg``; asked once for each boot of this machine."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    answer = cache_directory / f"accelerator-{hashlib.sha256(f'{boot} {qemu_identity()}'.encode()).hexdigest()[:16]}"
    try:
        return answer.read_text()
    except FileNotFoundError:
        pass
    found = "kvm" if _boots(image) else "tcg"
    for old in cache_directory.glob("accelerator-*"):
        old.unlink(missing_ok=True)
    answer.write_text(found)
    return found


def qemu_identity() -> str:
    """Changes whenever QEMU is upgraded."""
    status = Path(PROGRAM).stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _boots(image: Image) -> bool:
    with Lab() as lab:
        try:
            Machine(lab, image, name="probe", accelerator="kvm", patience=_PATIENCE).start()
        except LabError:
            return False
    return True
