"""Traffic of ordinary programs in namespaces, while our event loop carries their packets."""

import json
import re
import shutil
from collections.abc import Sequence

from ipsectest.base.clock import Instant
from ipsectest.base.errors import LabError
from ipsectest.lab.lab import Lab
from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.processes import Launch, Process
from ipsectest.net.loop import EventLoop

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"PATH": _PATH, "LANG": "C"}
_PING_INTERVAL = 0.01
_PATIENCE = 10.0


class Ended:
    """A machine that notices the end of a process."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.seen = False

    def handles(self) -> Sequence[int]:
        """The pidfd."""
        return (self.process.fileno(),)

    def readable(self, handle: int, now: Instant) -> None:
        """It has ended."""
        del handle, now
        self.seen = True

    def get_timer(self) -> Instant | None:
        """None."""
        return None

    def handle_timer(self, now: Instant) -> None:
        """Not called."""


class Traffic:
    """Runs programs of the machine in namespaces of a lab."""

    def __init__(self, lab: Lab, loop: EventLoop) -> None:
        self._lab = lab
        self._loop = loop
        self._folder = lab.directory("traffic")
        self._count = 0

    def round_trips(self, namespace: Namespace, source: str, destination: str, count: int) -> list[float]:
        """Round-trip times of pings, in seconds; those that got no answer are missing."""
        words = ["ping", "-n", f"-c{count}", f"-i{_PING_INTERVAL}", "-W1", "-I", source, destination]
        said = self._run(namespace, words, count * _PING_INTERVAL + _PATIENCE)
        return echo_times(said)

    def throughput(self, client: Namespace, server: Namespace, source: str, destination: str, seconds: float) -> float:
        """Bits of TCP payload that arrive in a second; LabError with iperf3's own words if there is no way."""
        listening = self._start(server, ["iperf3", "-s", "-1", "-B", destination])
        words = ["iperf3", "-J", "-c", destination, "-B", source, "-t", f"{seconds:.0f}"]
        end = self._loop.clock.now() + _PATIENCE
        try:
            said = self._run(client, words, seconds + _PATIENCE)
            # The server may not listen yet: its port is refused then, and the client ends at once, with status 0.
            while "refused" in said and self._loop.clock.now() < end:
                said = self._run(client, words, seconds + _PATIENCE)
            return received(said)
        finally:
            listening.stop()

    def _run(self, namespace: Namespace, words: Sequence[str], cap: float) -> str:
        process = self._start(namespace, words)
        end = Ended(process)
        self._loop.add(end)
        try:
            self._loop.run_until(lambda: end.seen, cap)
        finally:
            self._loop.remove(end)
        process.stop()
        said = process.output.read_text(errors="replace")
        if not end.seen:
            raise LabError(f"{words[0]} does not end within {cap:.0f} s")
        return said

    def _start(self, namespace: Namespace, words: Sequence[str]) -> Process:
        program = shutil.which(words[0], path=_PATH)
        if program is None:
            raise LabError(f"{words[0]} is not installed: apt-get install {words[0]}")
        self._count += 1
        launch = Launch([program, *words[1:]], _ENVIRONMENT, namespace=str(namespace.path))
        return self._lab.process(launch, self._folder / f"{self._count}.out")


def has_iperf3() -> bool:
    """Whether throughput can be measured."""
    return shutil.which("iperf3", path=_PATH) is not None


def echo_times(said: str) -> list[float]:
    """Seconds of each round trip that ping(8) reports."""
    return [float(found) / 1000 for found in re.findall(r"time=([\d.]+) ms", said)]


def received(said: str) -> float:
    """Bits per second that iperf3's server got, from the client's JSON; LabError with its own words if it has none."""
    try:
        document = json.loads(said)
        return float(document["end"]["sum_received"]["bits_per_second"])
    except (ValueError, KeyError, TypeError):
        error = re.search(r'"error":\s*"([^"]*)"', said)
        raise LabError(f"iperf3: {error[1] if error else said.strip()[:200] or 'no output'}") from None
