"""A guest: QEMU started by us, ready when its command channel answers, gone with the run that started it."""

import io
import shlex
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from threading import Lock

from ipsectest.base.errors import LabError
from ipsectest.lab.lab import Lab
from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.processes import Launch, Process
from ipsectest.lab.vm.channel import TIMED_OUT, Channel, Result, script
from ipsectest.lab.vm.cpio import CpioWriter
from ipsectest.lab.vm.image import Image
from ipsectest.lab.vm.qemu import CHANNELS, PROGRAM, Card, Hardware, command
from ipsectest.lab.vm.qmp import Qmp
from ipsectest.lab.vm.selection import Selection

_SOCKET_CAP = 10.0
_POLL = 0.005
_END_CAP = 10.0
_TREE_CAP = 120.0
_PERMANENT = (1, 2)
_SHARE_OPTIONS = "trans=virtio,version=9p2000.L,msize=262144"


class Machine:
    """One guest of a lab; ``start`` before use. ``directory`` is seen in the guest as ``/lab``."""

    def __init__(
        self,
        lab: Lab,
        image: Image,
        cards: tuple[Card, ...] = (),
        *,
        name: str = "vm",
        accelerator: str = "tcg",
        memory: int = 0,
        namespace: Namespace | None = None,
        patience: float = 60.0,
    ) -> None:
        self.name = name
        self.image = image
        self.hardware = Hardware(accelerator, memory or memory_for(image), len(cards))
        self._lab = lab
        self._cards = cards
        self._namespace = namespace
        self._patience = patience
        self._own = lab.directory(name)
        self.directory = lab.directory(f"{name}-share")
        self.process: Process | None = None
        self._lock = Lock()
        self._open: list[Channel] = []
        lab.owns(self)
        self._free = deque(range(_PERMANENT[-1] + 1, CHANNELS + 1))

    def start(self, incoming: str = "") -> None:
        """Boot and wait until the guest takes commands; LabError with the end of its console if it does not.

        ``incoming`` is where to take the state of a snapshot from instead (QEMU's ``-incoming``).
        """
        if not Path(PROGRAM).exists():
            raise LabError("QEMU is missing: apt-get install qemu-system-x86")
        initrd = self._own / "initrd"
        self.image.write_initrd(initrd)
        line = command(
            self.hardware,
            self._cards,
            kernel=self.image.kernel,
            initrd=initrd,
            directory=self._own,
            share=self.directory,
        )
        if incoming:
            line += ["-incoming", incoming]
        path = str(self._namespace.path) if self._namespace else ""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        self.process = self._lab.process(Launch(line, environment, namespace=path), self._own / "qemu.out")
        for number in _PERMANENT:
            self._open.append(self._attach(number))
        self._commands, self._watch = self._open
        self._answers()
        initrd.unlink()
        self.set_clock()
        self.run(f"mount -t 9p -o {_SHARE_OPTIONS} lab /lab", check=True)

    def run(self, text: str, *, timeout: float = 10.0, check: bool = False) -> Result:
        """Run a shell script in the guest; TIMED_OUT is its status if it had to be ended after ``timeout`` seconds.

        With ``check`` a status other than 0 raises LabError.
        """
        with self._lock:
            channel = self._commands
            channel.start(script(text))
            result = channel.result(timeout)
            if result is None:
                self._watch.ask(f"end_request {channel.token}", timeout=_END_CAP)
                result = replace(channel.result(_END_CAP) or Result(0, b""), status=TIMED_OUT)
        if check and result.status:
            raise LabError(f"the guest fails ({result.status}): {text.splitlines()[0][:80]}: {result.text[-300:]}")
        return result

    def channel(self) -> Channel:
        """A channel of one's own, for a long command; LabError if all are taken. Give it back with ``release``."""
        if not self._free:
            raise LabError(f"all {CHANNELS} channels of the guest are in use")
        number = self._free.popleft()  # the one that was given back longest ago
        channel = Channel(self._own / f"c{number}", number)
        self._open.append(channel)
        self.run(f"serve /dev/vport0p{number} >/dev/null 2>&1 &", check=True)
        return channel

    def release(self, channel: Channel) -> None:
        """Close a channel; the guest stops serving it."""
        channel.close()
        self._open.remove(channel)
        self._free.append(channel.number)

    def put(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Write a file of the guest."""
        with self._lock:
            self._commands.put(path, data, mode=mode)

    def put_tree(self, source: Path, destination: str) -> None:
        """Copy a directory into the guest; ``destination`` is made, and becomes what ``source`` is here."""
        packed = io.BytesIO()
        archive = CpioWriter(packed)
        selection = Selection(source)
        selection.add_tree("/", without=["__pycache__"])
        selection.write(archive)
        archive.close()
        place = shlex.quote(destination)
        with self._lock:
            command = f"mkdir -p {place} && cd {place} && head -c {packed.tell()} | cpio -idm 2>&1"
            result = self._commands.ask(command, packed.getvalue(), timeout=_TREE_CAP)
        if result.status:
            raise LabError(f"cannot copy {source} to {destination} in the guest: {result.text[-300:]}")

    def get(self, path: str) -> bytes:
        """Read a file of the guest."""
        with self._lock:
            return self._commands.get(path)

    def set_clock(self) -> None:
        """Give the guest our time of day: certificates depend on it, and a snapshot's clock stands still."""
        self.run(f"date -s @{time.time():.0f} >/dev/null", check=True)

    def offer(self) -> Path:
        """A channel that another process may use, as often as it likes: the socket to connect to."""
        number = self._free.pop()
        self.run(f"while :; do serve /dev/vport0p{number} 0.5; done >/dev/null 2>&1 &", check=True)
        return self._own / f"c{number}"

    def close(self) -> None:
        """Let go of the channels; the lab ends QEMU itself."""
        for channel in self._open:
            channel.close()

    @property
    def terminal(self) -> Path:
        """The socket of the guest's terminal, where a shell waits."""
        return self._own / "tty"

    def let_go(self) -> None:
        """Give up every hold on the guest, before its state is saved; no command can be run after this."""
        self.run("umount /lab", check=True)
        self.close()

    def console(self) -> str:
        """What the kernel and init have printed."""
        return (self._own / "console.log").read_text(errors="replace")

    def qmp(self) -> Qmp:
        """A session with QEMU."""
        return Qmp(self._own / "qmp")

    def ended(self, seconds: float) -> bool:
        """Whether QEMU ends within so many seconds, or has ended."""
        return self.process is None or self.process.wait(seconds) is not None

    def stop(self) -> None:
        """End the guest at once; nothing of it is worth a shutdown."""
        if self.process:
            self.process.stop()

    def _attach(self, number: int) -> Channel:
        """Connect to a channel, as soon as QEMU listens."""
        end = time.monotonic() + _SOCKET_CAP
        while True:
            try:
                return Channel(self._own / f"c{number}", number)
            except LabError:
                if self.ended(_POLL) or time.monotonic() > end:
                    raise LabError(f"QEMU did not start: {self._last_words()}") from None

    def _answers(self) -> None:
        end = time.monotonic() + self._patience
        try:
            self._commands.start("true", limit=0)
            while self._commands.result(0.1) is None:
                if self.ended(0) or time.monotonic() > end:
                    raise LabError("no answer")  # noqa: TRY301 - one ending for all ways to fail
        except LabError as error:
            self.ended(_POLL)
            raise LabError(f"the guest did not boot ({error}): {self._last_words()}") from None

    def _last_words(self) -> str:
        output = (self._own / "qemu.out").read_text(errors="replace")
        console = self.console() if (self._own / "console.log").exists() else ""
        return " | ".join((output + console).strip().splitlines()[-5:]) or "no output"


def memory_for(image: Image) -> int:
    """MiB that hold the archives twice (packed and unpacked) while booting, and daemons later."""
    return 192 + 64 * -(-image.size * 5 // (2 * 64 << 20))
