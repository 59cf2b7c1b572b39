"""Where a peer daemon lives: a namespace, a root file system and a private directory.

`NamespaceHost` is what the drivers of ``ipsectest.peers`` are given (their ``Host`` protocol).
"""

import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from ipsectest.base.errors import PeerError, UnsupportedError
from ipsectest.lab.echo import send_echo_request
from ipsectest.lab.lab import Lab
from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.processes import Launch, Process
from ipsectest.lab.xfrm import esp_refusal
from ipsectest.scenario.ports import PeerPacket

_RUN_CAP = 10.0
_ANSWER_CAP = 5.0
_MAX_ANSWER = 65535
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_INSIDE = PurePosixPath("/run/peer")


class HasPid(Protocol):
    """A process."""

    pid: int


class NamespaceHost:
    """One instance of a peer on this machine; ``root`` None means the host's own file system."""

    def __init__(self, lab: Lab, name: str, namespace: Namespace, root: Path | None = None) -> None:
        self._lab = lab
        self.name = name
        self.namespace = namespace
        self.root = root
        self.directory = lab.directory(name)
        self._esp_refusal: str | None = None

    @property
    def inside(self) -> PurePosixPath:
        """``directory`` as the daemon sees it."""
        return _INSIDE if self.root else PurePosixPath(self.directory)

    def has(self, program: str) -> bool:
        """Whether a program (absolute path) is there."""
        return Path(self.root or "/", program.lstrip("/")).exists()

    def spawn(self, argv: Sequence[str], environment: Mapping[str, str]) -> Process:
        """Start a program of this root in this namespace; its output goes to ``<directory>/<program>.out``."""
        launch = Launch(
            argv=argv,
            environment={**_ENVIRONMENT, **environment},
            namespace=str(self.namespace.path),
            root=str(self.root or ""),
            binds={str(self.directory): str(_INSIDE)} if self.root else {},
            directory=str(self.inside),
        )
        return self._lab.process(launch, self.directory / f"{Path(argv[0]).name}.out")

    def run(self, argv: Sequence[str], beside: HasPid | None = None) -> tuple[int, str]:
        """Run a short program to its end: status and output. Beside a running daemon it costs some milliseconds."""
        if beside is None:
            return self._run_alone(argv)
        enter = ["nsenter", f"--target={beside.pid}", "--mount", "--net", "--root", "--wd", "--"]
        return _ended([*enter, *argv], argv[0])

    def _run_alone(self, argv: Sequence[str]) -> tuple[int, str]:
        process = self.spawn(argv, {})
        process.wait(_RUN_CAP)
        if process.status() is None:
            process.stop()
            raise PeerError(f"{argv[0]} does not end within {_RUN_CAP:.0f} s")
        said = process.output.read_text(errors="replace")
        process.output.unlink()
        return process.stop(), said

    def configure(self, lines: str) -> None:
        """Run lines of shell in the daemon's network, with the programs of this machine; PeerError if one fails."""
        status, said = _ended(["nsenter", f"--net={self.namespace.path}", "--", "sh", "-ec", lines], "sh")
        if status:
            raise PeerError(f"the peer's network cannot be set up: {said.strip()[-200:]}")

    def esp_refusal(self) -> str:
        """Why this kernel takes no ESP SA, tried in a namespace of its own; empty if it takes one."""
        if self._esp_refusal is None:
            self._esp_refusal = esp_refusal(self._lab.namespace(f"{self.name}-esp"))
        return self._esp_refusal

    def connect(self, name: str) -> socket.socket:
        """A stream to a unix socket that the daemon made in its directory; OSError while there is none."""
        stream = socket.socket(socket.AF_UNIX)
        try:
            stream.connect(str(self.directory / name))
        except OSError:
            stream.close()
            raise
        return stream

    def ping(self, source: str, destination: str) -> None:
        """Send one echo request from an address of the daemon's network; PeerError if there is no way."""
        send_echo_request(self.namespace, source, destination)

    def send(self, packet: PeerPacket) -> None:
        """Not here: what policy does to a packet is seen where the kernel has IPsec."""
        raise UnsupportedError(f"a {packet.kind} of the peer's host", "only where its kernel has IPsec: --lab vm")

    def ask(self, question: bytes, source: str, destination: str, port: int) -> bytes:
        """The answer to a UDP datagram from one IPv4 address of the daemon's network to another; empty if none came."""
        with self.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((source, 0))
            sender.settimeout(_ANSWER_CAP)
            sender.sendto(question, (destination, port))
            try:
                return sender.recv(_MAX_ANSWER)
            except TimeoutError:
                return b""


def _ended(argv: Sequence[str], name: str) -> tuple[int, str]:
    """Status and output of a short program; PeerError if it goes on for too long."""
    try:
        done = subprocess.run(  # noqa: S603 - words of our own
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_ENVIRONMENT,
            timeout=_RUN_CAP,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PeerError(f"{name} does not end within {_RUN_CAP:.0f} s") from None
    return done.returncode, done.stdout.decode(errors="replace")
