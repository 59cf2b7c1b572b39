"""Kill a lab at a random moment, clean up after it, and list what is left.

Each round is a command of ours with daemons, networks or a virtual machine. The rounds are run in mount, network,
process and IPC namespaces of their own, where everything that is found afterwards is ours: the lists are complete,
whatever else this machine does meanwhile. The parent is `test_kills.py`; by hand:

    python -m tests.lab.kills SEED ROUNDS [KIND ...]
"""

import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ipsectest.lab import mounts
from ipsectest.peers import rootfs

PROGRAM = (sys.executable, "-m", "ipsectest.cli.main")
RUN = ("run", "ike/info", "--no-report", "--seed=1")
START = ("lab", "vm", "start", "--peer=strongswan")
COMMANDS = {
    "host": (*RUN, "--peer=strongswan", "--peer=libreswan"),
    "interop": ("interop", "--peers=builtin,strongswan", "--cells=12", "--seed=1", "--no-report"),
    "guest": (*RUN, "--peer=strongswan", "--peer=libreswan", "--lab=vm"),
    "kept": START,
    "keeper": START,
    "first": (*START, "--daemon"),
}
"""What is killed; of the kept guest, the command that starts it or the process that keeps it.

``first`` finds no snapshot, boots, and saves one.
"""
KINDS = tuple(COMMANDS)
EXPECTED = {"host": 10.0, "interop": 4.0, "guest": 12.0, "kept": 3.0, "keeper": 4.0, "first": 12.0}
"""Seconds that a whole life takes from the first thing that is made, as a first guess; what is seen replaces it."""
END_CAP = 30.0
_LIFE_CAP = 300.0
_LOOK = 0.01
_KEEPER = b"ipsectest.lab.vm.keeper"
_UNFINISHED = (".saving-*", ".building-*")
NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc")


@dataclass(frozen=True)
class Place:
    """The directories of one round."""

    runtime: Path
    temporary: Path
    cache: Path

    @property
    def environment(self) -> dict[str, str]:
        """For the command and for the clean-up."""
        return {
            **os.environ,
            "IPSECTEST_RUNTIME": str(self.runtime),
            "IPSECTEST_CACHE": str(self.cache),
            "TMPDIR": str(self.temporary),
        }


@dataclass(frozen=True)
class Killed:
    """What came of one kill."""

    kind: str
    moment: float
    """Seconds after it had made something."""
    found: int
    """Things that the killed process left to the clean-up, or to end by themselves."""
    left: list[str]
    """Those that are still there."""
    clean: int
    """Exit status of the clean-up."""
    said: list[str]
    """What the clean-up printed."""


def read(text: str) -> list[Killed]:
    """What `main` printed."""
    return [Killed(**json.loads(line)) for line in text.splitlines()]


def inventory(place: Place) -> Iterator[str]:
    """Everything a lab could leave, one line for each thing."""
    yield from (f"process {pid}: {command_line(pid)}" for pid in processes())
    yield from (f"namespace {entry.name}" for entry in Path("/run/netns").iterdir())
    yield from (f"link {name}" for _, name in socket.if_nameindex())
    yield from (f"mount {line}" for line in Path("/proc/self/mounts").read_text().splitlines())
    yield from (f"socket {line}" for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    for top in (place.runtime, place.temporary):
        yield from (f"file {path}" for path in top.rglob("*"))
    yield from (f"file {path}" for pattern in _UNFINISHED for path in (place.cache / "vm").glob(pattern))


def processes() -> list[int]:
    """All but this one, which is the first of its namespace."""
    return sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and entry.name != "1")


def command_line(pid: int) -> str:
    """As ps shows it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "gone"


def await_end(seconds: float) -> None:
    """Wait until every other process has ended; orphans become our children, and we bury them."""
    end = time.monotonic() + seconds
    while (left := processes()) and time.monotonic() < end:
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(left[0])
            select.select([handle], [], [], max(0.0, end - time.monotonic()))
            os.close(handle)
        bury()


def bury() -> None:
    """Take the exit statuses of orphans."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


class Rounds:
    """Starts and kills, until as many lives were cut short as asked for."""

    def __init__(self, seed: int, top: Path) -> None:
        self._random = random.Random(seed)
        self._lives = dict(EXPECTED)
        self._top = top
        self._count = 0

    def round(self, kind: str) -> Killed:
        """One start and one kill."""
        while True:
            self._count += 1
            place = self._place(kind)
            before = set(inventory(place))
            moment = self._random.uniform(0, self._lives[kind])
            killed = self._cut_short(kind, place, moment)
            found = set(inventory(place)) - before
            cleaned = subprocess.run(
                [*PROGRAM, "lab", "clean"],
                env=place.environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            await_end(END_CAP)
            left = sorted(set(inventory(place)) - before)
            said = (cleaned.stdout if cleaned.returncode == 0 else cleaned.stderr[-2000:]).splitlines()
            self._forget(place)
            if killed or left or cleaned.returncode:
                return Killed(kind, round(moment, 3), len(found), left, cleaned.returncode, said)

    def _cut_short(self, kind: str, place: Place, moment: float) -> bool:
        """Start, and kill when the moment has come; False if it had ended by itself."""
        before = set(inventory(place))
        with (self._top / f"{self._count}-{kind}.out").open("wb") as output:
            victim = subprocess.Popen(
                [*PROGRAM, *COMMANDS[kind]],
                env=place.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        begun = self._await_first(victim, place, before)
        if kind in {"keeper", "first"}:
            return self._kill_keeper(victim, begun + moment)
        ended = True
        try:
            victim.wait(moment)
        except subprocess.TimeoutExpired:
            ended = False
            victim.kill()
            victim.wait()
        if ended:
            self._lives[kind] = time.monotonic() - begun
            if keeper := find_keeper():
                os.kill(keeper, signal.SIGKILL)
        return not ended

    def _await_first(self, victim: subprocess.Popen[bytes], place: Place, before: set[str]) -> float:
        """When it has made something, or ended: a slow machine takes its time until there is anything to leave."""
        itself = f"process {victim.pid}:"
        while victim.poll() is None and all(line.startswith(itself) for line in set(inventory(place)) - before):
            with suppress(subprocess.TimeoutExpired):
                victim.wait(_LOOK)
        return time.monotonic()

    def _kill_keeper(self, victim: subprocess.Popen[bytes], end: float) -> bool:
        """Kill the process that keeps the guest, at the moment or when it has come into being."""
        with suppress(subprocess.TimeoutExpired):
            victim.wait(max(0.0, end - time.monotonic()))
        while not (keeper := find_keeper()) and victim.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                victim.wait(_LOOK)
        if keeper:
            os.kill(keeper, signal.SIGKILL)
        victim.wait(_LIFE_CAP)
        return keeper is not None

    def _place(self, kind: str) -> Place:
        """Fresh directories; the cache has what was built already, but what is unfinished in it is ours alone."""
        top = self._top / str(self._count)
        place = Place(top / "runtime", top / "temporary", top / "cache")
        for directory in (place.runtime, place.temporary, place.cache / "vm"):
            directory.mkdir(parents=True)
        (place.cache / "peers").symlink_to(rootfs.cache_directory() / "peers")
        unwanted = (".", "snapshot-") if kind == "first" else (".",)
        for built in (rootfs.cache_directory() / "vm").iterdir():
            if not built.name.startswith(unwanted) and built.suffix != ".lock":
                (place.cache / "vm" / built.name).symlink_to(built)
        return place

    def _forget(self, place: Place) -> None:
        """What a round has left, so that the next one begins anew."""
        for pid in processes():
            os.kill(pid, signal.SIGKILL)
        await_end(END_CAP)
        shutil.rmtree(place.runtime.parent, ignore_errors=True)


def find_keeper() -> int | None:
    """The process that keeps a guest."""
    for pid in processes():
        try:
            if _KEEPER in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        except OSError:
            continue
    return None


def main(arguments: Sequence[str]) -> None:
    """Run the rounds inside the namespaces; one JSON line for each."""
    if os.getpid() != 1:
        os.execvp(NAMESPACES[0], [*NAMESPACES, sys.executable, "-m", "tests.lab.kills", *arguments])
    seed, count, kinds = int(arguments[0]), int(arguments[1]), arguments[2:] or KINDS
    Path("/run/netns").mkdir(exist_ok=True)
    mounts.mount("tmpfs", "/run/netns", "tmpfs")
    mounts.mount("none", "/run/netns", flags=mounts.MS_REC | 1 << 20)  # MS_SHARED, as the first ip-netns(8) makes it
    with tempfile.TemporaryDirectory(prefix="kills-") as top:
        rounds = Rounds(seed, Path(top))
        for number in range(count):
            print(json.dumps(asdict(rounds.round(kinds[number % len(kinds)]))), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
