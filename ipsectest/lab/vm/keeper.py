"""A guest that outlives the command that starts it: a process of its own keeps it, until told to stop.

Run as a module with one argument, the order as JSON. It prints one JSON line when the guest is ready, or one with the
reason why it is not; then it waits for SIGTERM or for the end of QEMU. One guest of a user is kept at a time.
"""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ipsectest.base.errors import IpsectestError, LabError
from ipsectest.lab import notes
from ipsectest.lab.lab import Lab
from ipsectest.lab.privileges import become_root_of_a_namespace, can_make_namespaces
from ipsectest.lab.vm import network
from ipsectest.lab.vm.image import Image
from ipsectest.lab.vm.qemu import Tap
from ipsectest.lab.vm.start import start

_TAP = "vm0"
_NOTE = "vm.json"
_LOG = "keeper.log"
_HERE, _THERE = ("192.0.2.1/24", "2001:db8:0:2::1/64"), ("192.0.2.2/24", "2001:db8:0:2::2/64")
_START_CAP = 120.0
_STOP_CAP = 20.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept guest."""

    pid: int
    """Of the keeper."""
    start: int
    namespace: str
    """Network namespace of its TAP device, 192.0.2.1; the guest is 192.0.2.2."""
    terminal: str
    """Socket of a shell."""
    channel: str
    """Socket of a command channel."""
    watch: str
    """Of another one, that ends what runs in the first."""
    share: str
    """Directory that the guest sees as ``/lab``."""


def keep(image: Image, cache_directory: Path, resident: str = "") -> Kept:
    """Start a keeper and wait until its guest is ready; LabError says why it is not.

    ``resident`` is a script that starts what shall be running in the guest.
    """
    if kept():
        raise LabError("a virtual machine is running already: ipsectest lab vm stop")
    order = {"kernel": str(image.kernel), "release": image.release, "parts": [str(part) for part in image.parts]}
    argument = json.dumps({**order, "cache": str(cache_directory), "resident": resident})
    child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", __name__, argument],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    with child.stdout as answers:
        ready = select.select([answers], [], [], _START_CAP)[0]
        answer = json.loads((answers.readline() if ready else b"") or '{"refusal": "the keeper says nothing"}')
    if "refusal" in answer:
        child.terminate()
        child.wait(_STOP_CAP)
        raise LabError(answer["refusal"])
    child.returncode = 0  # it is not ours to wait for
    return Kept(**answer)


def kept() -> Kept | None:
    """The guest that is kept, if there is one."""
    for told in notes.living(_NOTE):
        with suppress(TypeError):  # written by another version
            return Kept(**told)
    return None


def stop() -> bool:
    """End the kept guest and wait until everything is removed; False if there is none."""
    found = kept()
    if found is None:
        return False
    handle = os.pidfd_open(found.pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], _STOP_CAP)[0]:
            raise LabError(f"the keeper of the virtual machine (pid {found.pid}) does not end")
    finally:
        os.close(handle)
    return True


def main(arguments: Sequence[str]) -> None:
    """Keep a guest as ordered."""
    order = json.loads(arguments[0])
    image = Image(Path(order["kernel"]), order["release"], tuple(map(Path, order["parts"])))
    signal.signal(signal.SIGTERM, _interrupt)
    # pyroute2 forks and ends children: they must not unwind our stack and remove things under our feet.
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    try:
        if not can_make_namespaces():
            become_root_of_a_namespace()
        _serve(image, Path(order["cache"]), order["resident"])
    except IpsectestError as error:
        print(json.dumps({"refusal": str(error)}), flush=True)  # noqa: T201
    except KeyboardInterrupt:
        pass


def _serve(image: Image, cache_directory: Path, resident: str) -> None:
    with Lab() as lab:
        namespace = lab.namespace("vm")
        machine = start(lab, cache_directory, image, (Tap(_TAP),), namespace=namespace, resident=resident)
        namespace.add_addresses(_TAP, *_HERE)
        namespace.up(_TAP)
        network.add_addresses(machine, "", "eth0", _THERE)
        network.batch(machine, "link set eth0 up")
        notes.leave(
            lab.directory_root,
            _NOTE,
            {
                "namespace": namespace.name,
                "terminal": str(machine.terminal),
                "channel": str(machine.offer()),
                "watch": str(machine.offer()),
                "share": str(machine.directory),
            },
        )
        print((lab.directory_root / _NOTE).read_text(), flush=True)  # noqa: T201
        _let_go(lab.directory_root / _LOG)
        while not machine.ended(3600):
            pass


def _let_go(log: Path) -> None:
    """Write to a file from now on: whoever reads the output of the command that started us waits for its end."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main(sys.argv[1:])
