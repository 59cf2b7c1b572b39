"""Testbeds that run in other processes, and the way into their nodes."""

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ipsectest.lab import notes

_NOTE = "testbed.json"


@dataclass(frozen=True, slots=True)
class Guest:
    """The way into the virtual machine of a testbed: sockets."""

    terminal: str
    channel: str
    watch: str
    """Ends what runs in the channel."""


@dataclass(frozen=True, slots=True)
class Running:
    """A testbed, as its process tells of it."""

    topology: str
    namespaces: dict[str, str]
    """Node -> path of its network namespace, as that process sees it."""
    guests: tuple[str, ...]
    """Nodes that stand in the virtual machine; their namespaces are called as they are."""
    guest: Guest | None
    pid: int = 0
    start: int = 0

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes."""
        return (*self.namespaces, *self.guests)

    def leave(self, directory: Path) -> None:
        """Let others know of it, as long as this process and the directory live."""
        notes.leave(directory, _NOTE, asdict(self))

    def entering(self, node: str, command: Sequence[str]) -> list[str]:
        """The command line that runs a command at a node of this machine, from a process anywhere on it."""
        enter = ["nsenter", f"--net={self.namespaces[node]}", "--", *command]
        kinds = [kind for kind in ("user", "mnt") if _namespace(self.pid, kind) != _namespace(os.getpid(), kind)]
        if not kinds:
            return enter
        # A lab without root has namespaces of its own for users and mounts, where the paths are.
        options = {"user": ["--user", "--preserve-credentials"], "mnt": ["--mount"]}
        words = [word for kind in kinds for word in options[kind]]
        return ["nsenter", f"--target={self.pid}", *words, "--", *enter]


def running() -> list[Running]:
    """The testbeds of this user, the newest first."""
    found = []
    for told in notes.living(_NOTE):
        with suppress(TypeError):  # written by another version
            guest = told.pop("guest")
            found.append(Running(**told, guest=Guest(**guest) if guest else None))
    return found


def enter(argv: Sequence[str], *, is_captured: bool = False) -> tuple[int, str]:
    """Run such a command line: status, and the output if it is captured."""
    done = subprocess.run(argv, capture_output=is_captured, check=False)  # noqa: S603 - what the user typed
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace") if is_captured else ""


def _namespace(pid: int, kind: str) -> int:
    return Path(f"/proc/{pid}/ns/{kind}").stat().st_ino
