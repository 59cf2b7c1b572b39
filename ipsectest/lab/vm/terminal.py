"""A guest's shell on the user's terminal: octets go both ways as they are, Ctrl-] ends it."""

import os
import select
import socket
import sys
import termios
import tty
from pathlib import Path

from ipsectest.lab.vm.channel import connect

LEAVE = b"\x1d"
"""Ctrl-]."""
_PIECE = 1 << 16


def attach(path: Path) -> None:
    """Connect this terminal to the guest's until the user leaves or the guest ends."""
    with connect(path) as guest:
        keyboard = sys.stdin.fileno()
        before = termios.tcgetattr(keyboard)
        try:
            tty.setraw(keyboard)
            columns, rows = os.get_terminal_size(keyboard)
            size = f"stty rows {rows} columns {columns}; " if rows and columns else ""  # serial lines know none
            guest.sendall(f" {size}clear\n".encode())
            _pump(guest, keyboard)
        finally:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _pump(guest: socket.socket, keyboard: int) -> None:
    while True:
        ready = select.select([guest.fileno(), keyboard], [], [])[0]
        if guest.fileno() in ready:
            data = guest.recv(_PIECE)
            if not data:
                return
            os.write(sys.stdout.fileno(), data)
        if keyboard in ready:
            data = os.read(keyboard, _PIECE)
            guest.sendall(data.partition(LEAVE)[0])
            if not data or LEAVE in data:
                return
