"""What a link in a namespace carries, recorded by a packet socket that an event loop (or `record`) drains."""

import errno
import os
import selectors
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ipsectest.lab.namespaces import Namespace
from ipsectest.net.pcapng import LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter
from ipsectest.net.wire import Direction

_ETH_P_ALL = 0x0003
_PACKET_OUTGOING = 4
_ARPHRD_ETHER = 1
_SO_TIMESTAMPNS = 35
_SNAP = 65535
_RECEIVE_BUFFER = 8 << 20


class LinkCapture:
    """All packets of one link, with the kernel's time stamps, into a pcapng interface."""

    def __init__(self, namespace: Namespace, link: str, writer: PcapngWriter) -> None:
        self._writer = writer
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._socket.bind((link, _ETH_P_ALL))
        self._socket.setblocking(False)
        hardware = self._socket.getsockname()[3]
        kind = LINKTYPE_ETHERNET if hardware == _ARPHRD_ETHER else LINKTYPE_RAW
        self._interface = writer.add_interface(f"{namespace.name}/{link}", kind)

    def fileno(self) -> int:
        """Readable when packets wait."""
        return self._socket.fileno()

    def drain(self) -> int:
        """Record all packets that wait; their number."""
        count = 0
        while True:
            try:
                data, ancillary, _flags, address = self._socket.recvmsg(_SNAP, 64)
            except BlockingIOError:
                return count
            except OSError as error:
                if error.errno == errno.ENETDOWN:  # told once when the link goes down; later packets still arrive
                    continue
                raise
            direction = Direction.SENT if address[2] == _PACKET_OUTGOING else Direction.RECEIVED
            self._writer.packet(_stamp(ancillary), data, interface=self._interface, direction=direction)
            count += 1

    def close(self) -> None:
        """Record what still waits, then close the socket."""
        self.drain()
        self._socket.close()


@contextmanager
def record(namespace: Namespace, link: str, path: Path) -> Iterator[LinkCapture]:
    """Record a link to a file by a thread of its own for the time of a ``with`` block."""
    reading, writing = os.pipe()
    with PcapngWriter(path.open("wb")) as writer, selectors.DefaultSelector() as selector:
        capture = LinkCapture(namespace, link, writer)
        selector.register(capture, selectors.EVENT_READ)
        selector.register(reading, selectors.EVENT_READ)

        def work() -> None:
            while not any(key.fd == reading for key, _ in selector.select()):
                capture.drain()

        thread = threading.Thread(target=work, name=f"capture {link}")
        thread.start()
        try:
            yield capture
        finally:
            os.write(writing, b"x")
            thread.join()
            capture.close()
            os.close(reading)
            os.close(writing)


def _stamp(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack("qq", data[:16])
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return 0
