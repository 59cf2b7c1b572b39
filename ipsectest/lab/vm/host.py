"""A peer daemon inside the guest: what the drivers of ``ipsectest.peers`` need of a host (their ``Host`` protocol).

The instance's directory is one directory, seen here and there (9p); processes and control sockets of the guest are
reached over channels of their own.
"""

import shlex
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from ipsectest.base.errors import LabError, PeerError
from ipsectest.lab.vm.channel import TIMED_OUT, Channel, Result, script
from ipsectest.lab.vm.machine import Machine
from ipsectest.scenario.ports import PeerPacket

_INSIDE = PurePosixPath("/run/peer")
_RUN_CAP = 20.0
_ANSWER_WAIT = 2
_SIGNALLED = 128
_SA = (
    "ip netns add esp-probe 2>/dev/null; ip -n esp-probe xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp "
    "spi 0x1001 mode tunnel aead 'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 128; "
    "status=$?; ip netns delete esp-probe; exit $status"
)


class HasPid(Protocol):
    """A process."""

    pid: int


class VmProcess:
    """A process of the guest; ``fileno`` becomes readable when it ends."""

    def __init__(self, machine: Machine, channel: Channel, name: str, output: Path) -> None:
        self._machine = machine
        self._channel = channel
        self._result: Result | None = None
        self.name = name
        self.output = output
        self.pid = int(channel.line(_RUN_CAP))
        """In the guest."""

    def fileno(self) -> int:
        """The channel's socket."""
        return self._channel.fileno()

    def status(self) -> int | None:
        """None while it runs, else the exit status; the negative signal number if a signal ended it."""
        return self.wait(0)

    def wait(self, seconds: float) -> int | None:
        """The status after at most so many seconds."""
        if self._result is None:
            self._result = self._channel.result(seconds)
            if self._result:
                self._machine.release(self._channel)
        if self._result is None:
            return None
        status = self._result.status
        return _SIGNALLED - status if status > _SIGNALLED else status

    def stop(self, grace: float = 2.0) -> int:
        """End it (SIGTERM, after ``grace`` seconds SIGKILL) and return its status; raises LabError if it cannot die."""
        for name, patience in (("TERM", grace), ("KILL", 5.0)):
            if self.status() is None:
                self._machine.run(f"kill -{name} {self.pid}")
                self.wait(patience)
        status = self.status()
        if status is None:
            raise LabError(f"{self.name} (pid {self.pid} in the guest) survives SIGKILL")
        return status


class VmHost:
    """One instance of a peer: a tree of the image, and a network namespace of the guest."""

    def __init__(self, machine: Machine, name: str, namespace: str, peer: str) -> None:
        self._machine = machine
        self._namespace = namespace
        self._root = f"/peers/{peer}"
        self._shared = f"/lab/{name}"
        self._esp_refusal: str | None = None
        self.name = name
        self.directory = machine.directory / name
        self.directory.mkdir(mode=0o700)

    @property
    def inside(self) -> PurePosixPath:
        """``directory`` as the daemon sees it."""
        return _INSIDE

    def has(self, program: str) -> bool:
        """Whether a program (absolute path) is there."""
        return not self._machine.run(f"[ -e {shlex.quote(self._root + program)} ]").status

    def spawn(self, argv: Sequence[str], environment: Mapping[str, str]) -> VmProcess:
        """Start a program of this tree; its output goes to ``<directory>/<program>.out``."""
        name = Path(argv[0]).name
        channel = self._machine.channel()
        exports = " ".join(f"{key}={shlex.quote(value)}" for key, value in {"LANG": "C.UTF-8", **environment}.items())
        output = shlex.quote(f"{self._shared}/{name}.out")
        text = (
            f'read -r pid _ </proc/self/stat; echo "$pid"; export {exports}; exec {self._launch(argv)} >>{output} 2>&1'
        )
        channel.start(script(text))
        return VmProcess(self._machine, channel, name, self.directory / f"{name}.out")

    def run(self, argv: Sequence[str], beside: HasPid | None = None) -> tuple[int, str]:
        """Run a short program to its end: status and output; PeerError if it does not end within some seconds."""
        enter = f"nsenter --target={beside.pid} --mount --net --root --wd -- {shlex.join(argv)}" if beside else ""
        result = self._machine.run(f"exec {enter or self._launch(argv)}", timeout=_RUN_CAP)
        if result.status == TIMED_OUT:
            raise PeerError(f"{argv[0]} does not end within {_RUN_CAP:.0f} s")
        return result.status, result.output.decode(errors="replace")

    def connect(self, name: str) -> socket.socket:
        """A stream to a unix socket that the daemon made in its directory; OSError while there is none."""
        path = f"{self._shared}/{name}"
        if self._machine.run(f"[ -S {shlex.quote(path)} ]").status:
            raise FileNotFoundError(path)
        channel = self._machine.channel()
        # The server ends with the relay: it could not write its answer to a port that we have closed.
        channel.start(
            f"socat -t0 - UNIX-CONNECT:{shlex.quote(path)},retry=10,interval=0.05 2>/dev/null; kill -KILL $server"
        )
        return Relayed(self._machine, channel)

    def ping(self, source: str, destination: str) -> None:
        """Send one echo request from an address of the daemon's network; PeerError if there is no way."""
        route = shlex.join(["ip", "-n", self._namespace, "route", "get", destination, "from", source])
        ping = shlex.join(["ping", "-n", "-c1", "-W1", "-I", source, destination])
        # Not awaited: its answer is seen on the wire, if at all.
        enter = f"nsenter --net=/run/netns/{self._namespace}"
        result = self._machine.run(f"{route} || exit 1; {enter} {ping} >/dev/null 2>&1 &")
        if result.status:
            raise PeerError(f"the peer cannot ping {destination} from {source}: {result.text[-200:]}")

    def send(self, packet: PeerPacket) -> None:
        """Send a packet from an address of the daemon's network, not awaited; PeerError if there is no way."""
        route = shlex.join(["ip", "-n", self._namespace, "route", "get", packet.destination, "from", packet.source])
        enter = f"nsenter --net=/run/netns/{self._namespace}"
        result = self._machine.run(f"{route} || exit 1; {_sending(enter, packet)} >/dev/null 2>&1 &")
        if result.status:
            raise PeerError(f"the peer cannot reach {packet.destination} from {packet.source}: {result.text[-200:]}")

    def configure(self, lines: str) -> None:
        """Run lines of shell in the daemon's network, with the programs of the guest; PeerError if one fails."""
        enter = f"nsenter --net=/run/netns/{self._namespace}"
        result = self._machine.run(f"exec {enter} sh -ec {shlex.quote(lines)} 2>&1", timeout=_RUN_CAP)
        if result.status:
            raise PeerError(f"the peer's network cannot be set up: {result.text.strip()[-200:]}")

    def esp_refusal(self) -> str:
        """Why the guest's kernel takes no ESP SA; empty if it takes one."""
        if self._esp_refusal is None:
            result = self._machine.run(_SA)
            self._esp_refusal = result.text if result.status else ""
        return self._esp_refusal

    def ask(self, question: bytes, source: str, destination: str, port: int) -> bytes:
        """The answer to a UDP datagram from one IPv4 address of the daemon's network to another; empty if none came."""
        octets = "".join(f"\\{octet:04o}" for octet in question)
        # After the question socat has no more to send, and stays for so many seconds.
        ask = shlex.join(["socat", f"-t{_ANSWER_WAIT}", "-", f"UDP4:{destination}:{port},bind={source}"])
        enter = f"nsenter --net=/run/netns/{self._namespace}"
        return self._machine.run(f"printf %b {shlex.quote(octets)} | {enter} {ask} 2>/dev/null").output

    def _launch(self, argv: Sequence[str]) -> str:
        return shlex.join(["launch", f"/run/netns/{self._namespace}", self._root, self._shared, *argv])


def _sending(enter: str, packet: PeerPacket) -> str:
    """The command that sends it."""
    if packet.kind == "ping":
        words = ["ping", "-n", "-c1", "-W1", "-I", packet.source, "-s", str(packet.size)]
        words += ["-Q", str(packet.traffic_class)] if packet.traffic_class else []
        words += [] if packet.dont_fragment is None else ["-M", "do" if packet.dont_fragment else "dont"]
        return f"{enter} {shlex.join([*words, packet.destination])}"
    six = ":" in packet.source
    there, here = (f"[{host}]" if six else host for host in (packet.destination, packet.source))
    options = f"{there}:{packet.destination_port},bind={here}:{packet.source_port}"
    options += f",ip-tos={packet.traffic_class}" if packet.traffic_class else ""
    if packet.kind == "syn":
        return f"{enter} socat -u /dev/null {shlex.quote(f'TCP{6 if six else 4}:{options},connect-timeout=1')}"
    family = 6 if six else 4
    return f"head -c {packet.size} /dev/zero | {enter} socat -u - {shlex.quote(f'UDP{family}-SENDTO:{options}')}"


class Relayed(socket.socket):
    """The socket of a channel that carries another protocol; closing it gives the channel back."""

    def __init__(self, machine: Machine, channel: Channel) -> None:
        super().__init__(fileno=channel.detach())
        self._machine = machine
        self._channel: Channel | None = channel

    def close(self) -> None:
        """Close it; the guest's end of the relay follows."""
        super().close()
        channel, self._channel = self._channel, None
        if channel:
            self._machine.release(channel)
