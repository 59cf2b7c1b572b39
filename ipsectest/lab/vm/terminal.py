"""A guest's shell on the user's terminal: octets go both ways as they are, Ctrl-] ends it."""

import fcntl
import os
import select
import socket
import sys
import termios
import tty
from pathlib import Path

from ipsectest.base.errors import LabError
from ipsectest.lab.vm.channel import connect

LEAVE = b"\x1d"
"""Ctrl-]."""
_PIECE = 1 << 16


def attach(path: Path, namespace: str = "") -> None:
    """Connect this terminal to the guest's until the user leaves or the guest ends.

    With a network namespace of the guest the shell is one in there, and to end it is to leave. LabError if somebody
    is connected already.
    """
    with path.with_name("tty.lock").open("w") as lock, connect(path) as guest:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LabError("somebody has a shell in the virtual machine already") from None
        keyboard = sys.stdin.fileno()
        before = termios.tcgetattr(keyboard)
        try:
            tty.setraw(keyboard)
            columns, rows = os.get_terminal_size(keyboard)
            size = f"stty rows {rows} columns {columns}; " if rows and columns else ""  # serial lines know none
            inside = f"; nsenter --net=/run/netns/{namespace} bash -i; printf '\\035'" if namespace else ""
            guest.sendall(f" {size}clear{inside}\n".encode())
            if _pump(guest, keyboard) and namespace:
                os.write(sys.stdout.fileno(), b"\r\n")
                guest.sendall(b"\x03\x04")  # Ctrl-C, Ctrl-D: whoever comes next is to find the first shell
        finally:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _pump(guest: socket.socket, keyboard: int) -> bool:
    """True when the user leaves, False when the shell, or the guest, ends."""
    while True:
        ready = select.select([guest.fileno(), keyboard], [], [])[0]
        if guest.fileno() in ready:
            data = guest.recv(_PIECE)
            os.write(sys.stdout.fileno(), data.partition(LEAVE)[0])
            if not data or LEAVE in data:
                return False
        if keyboard in ready:
            data = os.read(keyboard, _PIECE)
            guest.sendall(data.partition(LEAVE)[0])
            if not data or LEAVE in data:
                return True
