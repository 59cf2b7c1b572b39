"""What a daemon's driver needs of the place its daemon runs in; ``lab.hosts.NamespaceHost`` is one."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from ipsectest.scenario.ports import PeerPacket


class Process(Protocol):
    """A running daemon; ``fileno`` becomes readable when it ends."""

    pid: int
    output: Path
    """File of its standard output and error."""

    def fileno(self) -> int: ...  # noqa: D102

    def status(self) -> int | None:
        """None while it runs, else the exit status; the negative signal number if a signal ended it."""
        ...

    def wait(self, seconds: float) -> int | None:
        """The status after at most so many seconds."""
        ...

    def stop(self, grace: float = 2.0) -> int:
        """End it and return its status."""
        ...


class Host(Protocol):
    """A root file system, a network and a private directory for one daemon."""

    directory: Path
    """Directory of this instance (configuration, secrets, logs, control sockets), mode 0700, as seen from here."""

    @property
    def inside(self) -> PurePosixPath:
        """The same directory as the daemon sees it."""
        ...

    def has(self, program: str) -> bool:
        """Whether a program (absolute path) is there."""
        ...

    def spawn(self, argv: Sequence[str], environment: Mapping[str, str]) -> Process:
        """Start a program there."""
        ...

    def run(self, argv: Sequence[str], beside: Process | None = None) -> tuple[int, str]:
        """Run a short program to its end: its status and what it said; ``beside`` a daemon started there it is quick.

        PeerError if it does not end within some seconds.
        """
        ...

    def configure(self, lines: str) -> None:
        """Run lines of shell in the daemon's network, but with the programs around it; PeerError if one fails."""
        ...

    def esp_refusal(self) -> str:
        """Why the kernel there takes no ESP SA; empty if it takes one."""
        ...

    def connect(self, name: str) -> socket.socket:
        """A stream to a unix socket that the daemon made in its directory; OSError while there is none."""
        ...

    def ping(self, source: str, destination: str) -> None:
        """Send one ICMP echo request from an address of the daemon's network; PeerError if there is no way."""
        ...

    def send(self, packet: PeerPacket) -> None:
        """Send a packet from an address of the daemon's network; PeerError if there is no way."""
        ...

    def ask(self, question: bytes, source: str, destination: str, port: int) -> bytes:
        """The answer to a UDP datagram from one IPv4 address of the daemon's network to another; empty if none came."""
        ...
