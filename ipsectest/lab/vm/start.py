"""From an image to a guest that is ready: the accelerator that works, and a snapshot where time counts."""

import fcntl
from pathlib import Path

from ipsectest.base.errors import LabError
from ipsectest.lab.lab import Lab
from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.vm import accelerator, snapshot
from ipsectest.lab.vm.image import Image
from ipsectest.lab.vm.machine import Machine
from ipsectest.lab.vm.qemu import PROGRAM, Card, Datagrams

_KEPT = 4


def start(
    lab: Lab,
    cache_directory: Path,
    image: Image,
    cards: tuple[Card, ...] = (),
    *,
    name: str = "vm",
    namespace: Namespace | None = None,
    from_snapshot: bool = True,
    resident: str = "",
) -> Machine:
    """A guest that takes commands; ``namespace`` is where its TAP devices appear.

    The first start of an image boots it and saves a snapshot (seconds), later ones begin there (a fraction of one).
    ``resident`` is a script whose processes are part of the snapshot.
    """
    if not Path(PROGRAM).exists():
        raise LabError("QEMU is missing: apt-get install qemu-system-x86")
    kind = accelerator.choose(cache_directory, image)
    machine = Machine(lab, image, cards, name=name, accelerator=kind, namespace=namespace)
    machine.start(snapshot.incoming(_saved(lab, cache_directory, machine, resident)) if from_snapshot else "")
    return machine


def _saved(lab: Lab, cache_directory: Path, like: Machine, resident: str) -> Path:
    """The snapshot that fits a machine, made first if need be."""
    path = snapshot.path_of(cache_directory, like.image, like.hardware, accelerator.qemu_identity(), resident)
    with (cache_directory / f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            path.touch()
        else:
            directory = lab.directory(f"{like.name}-cards")
            cards = tuple(
                Datagrams(directory / f"ours{number}", directory / f"guest{number}")
                for number in range(like.hardware.cards)
            )
            mould = Machine(lab, like.image, cards, name=f"{like.name}-mould", accelerator=like.hardware.accelerator)
            mould.start()
            snapshot.save(mould, path, resident)
            _forget_old(cache_directory)
    return path


def _forget_old(cache_directory: Path) -> None:
    """Delete all snapshots but those used last: each is as large as the guest's memory in use."""
    found = [path for path in cache_directory.glob("snapshot-*") if path.suffix != ".lock"]
    for path in sorted(found, key=lambda one: one.stat().st_mtime)[:-_KEPT]:
        path.unlink(missing_ok=True)
        path.with_suffix(".lock").unlink(missing_ok=True)
