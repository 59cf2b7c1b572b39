"""Saving the state of a booted guest to a file, and starting from it: modules and algorithms are in memory already."""

import hashlib
import shlex
from contextlib import suppress
from pathlib import Path

from ipsectest.base.errors import LabError
from ipsectest.lab.vm.image import Image
from ipsectest.lab.vm.machine import Machine
from ipsectest.lab.vm.qemu import Hardware

SAVING = ".saving-"
"""How the name of a file begins that is not complete yet; it is written under the lock of the one it becomes."""
_SAVE_CAP_POLLS = 3000
_POLL = 0.02
_SCRIPT_CAP = 60.0
_BANDWIDTH = 10 << 30
_WARM = """
modprobe -a vmgenid esp4 esp6 ah4 ah6 ipcomp ipcomp6 xfrm_user xfrm_interface
modprobe -a af_key veth nf_tables nft_masq nft_chain_nat
ip netns add warm
ip -n warm xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode tunnel \
    aead 'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 128
ip -n warm xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 2 mode tunnel \
    auth-trunc 'hmac(sha256)' 0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20 128 \
    enc 'cbc(aes)' 0x0102030405060708090a0b0c0d0e0f10
ip netns delete warm
"""
# Memory that was used and freed (the archives of the image above all) is not empty, and would be saved.
_EMPTY = """
mkdir /run/zero && mount -t tmpfs -o size=100% tmpfs /run/zero
free=$(awk '/MemAvailable/ { print int($2 / 1024) - 24 }' /proc/meminfo)
dd if=/dev/zero of=/run/zero/fill bs=1M count="$free" 2>/dev/null
umount /run/zero && rmdir /run/zero
"""


def path_of(cache_directory: Path, image: Image, hardware: Hardware, qemu_version: str, resident: str = "") -> Path:
    """Where the snapshot of that image on that hardware, with that resident, stands or would stand."""
    facts = f"{image.key} {hardware} {qemu_version} {_WARM} {_EMPTY} {resident}"
    return cache_directory / f"snapshot-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"


def save(machine: Machine, path: Path, resident: str = "") -> None:
    """Load what labs need, write the state to ``path`` (whole or not at all) and end the guest.

    ``resident`` is a script that starts what shall be running already; it must not hold ``/lab``. One process
    at a time may do so for one path.
    """
    for script in filter(None, (_WARM, resident, _EMPTY)):
        machine.run(script, timeout=_SCRIPT_CAP, check=True)
    machine.let_go()
    temporary = path.with_name(f"{SAVING}{path.name}")
    try:
        qmp = machine.qmp()
        qmp.execute("migrate-set-parameters", **{"max-bandwidth": _BANDWIDTH})
        qmp.execute("migrate", uri=f"exec:cat >{shlex.quote(str(temporary))}")
        for _ in range(_SAVE_CAP_POLLS):
            state = qmp.execute("query-migrate")
            if state.get("status") in {"completed", "failed", "cancelled"} or machine.ended(_POLL):
                break
        if state.get("status") != "completed":
            raise LabError(f"the guest's state could not be saved: {state.get('error-desc', state.get('status'))}")
        qmp.close()
        machine.stop()
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def incoming(path: Path) -> str:
    """What ``Machine.start`` is given to begin from a snapshot."""
    return f"exec:cat {shlex.quote(str(path))}"
