"""Queues of the kernel where packets wait for a verdict. Source: linux/netfilter/nfnetlink_queue.h."""

import os
import struct
from dataclasses import dataclass
from errno import EBUSY, EPERM

from ipsectest.net.netfilter.messages import NLM_F_ACK, attribute, message, resource_and_attributes
from ipsectest.net.netfilter.sockets import NetfilterSocket

_QUEUES = 3
_VERDICT, _CONFIG, _VERDICT_BATCH = 1, 2, 3
_BIND = 1
_COPY_PACKET = 2
_GSO = 4
"""Large packets stay in one piece."""
_DROP, _ACCEPT = 0, 1
_ALL = 0x7FFFFFFF
"""A batch is of all numbers up to this one."""
_FIRST_NUMBER, _LAST_NUMBER = 0xE000, 0xFFFF
_ROOM_FOR_ONE = 4096
"""What the kernel counts for a notice in a socket's buffer, at most."""
_HEADER, _CAPTURED, _PAYLOAD = 1, 13, 10


@dataclass(frozen=True, slots=True)
class Waiting:
    """A packet that waits."""

    queue: int
    number: int
    length: int
    """Octets."""


class PacketQueues:
    """Queues with room for ``length`` packets each, what comes then is lost. Raises OSError."""

    def __init__(self, namespace: str | None, length: int) -> None:
        self._length = length
        self._socket = NetfilterSocket(namespace, buffer=4 * length * _ROOM_FOR_ONE)
        self._next = _FIRST_NUMBER

    def fileno(self) -> int:
        """Readable when a packet has come to a queue."""
        return self._socket.fileno()

    def open(self) -> int:
        """The number of another queue; it lives until ``close``."""
        while self._next <= _LAST_NUMBER:
            number, self._next = self._next, self._next + 1
            if self._bind(number):
                return number
        raise OSError(EBUSY, os.strerror(EBUSY))

    def read(self) -> list[Waiting]:
        """The packets that have come since; they go on waiting."""
        return [one for body in self._socket.receive() if (one := waiting(body))]

    def accept_all(self, queue: int) -> None:
        """Let everything go on that waits in a queue, in its order."""
        self._tell(_VERDICT_BATCH, queue, _ACCEPT, _ALL)

    def drop(self, one: Waiting) -> None:
        """Throw one packet away."""
        self._tell(_VERDICT, one.queue, _DROP, one.number)

    def close(self) -> None:
        """Throw away what waits, and the queues."""
        self._socket.close()

    def _bind(self, queue: int) -> bool:
        """Whether the queue was free."""
        number = self._socket.number()
        command = attribute(1, bytes([_BIND, 0, 0, 0]))
        # Of each packet one octet is told, and with it how many there are.
        parameters = attribute(2, struct.pack("!IB", 1, _COPY_PACKET))
        flags = attribute(4, _GSO) + attribute(5, _GSO)
        attributes = command + parameters + attribute(3, self._length) + flags
        try:
            self._socket.ask(message(_QUEUES << 8 | _CONFIG, NLM_F_ACK, number, 0, queue, attributes), [number])
        except OSError as error:
            if error.errno in {EBUSY, EPERM} and queue < _LAST_NUMBER:
                return False  # somebody else's
            raise
        return True

    def _tell(self, kind: int, queue: int, verdict: int, number: int) -> None:
        judged = attribute(2, struct.pack("!II", verdict, number))
        self._socket.tell(message(_QUEUES << 8 | kind, 0, self._socket.number(), 0, queue, judged))


def waiting(body: bytes) -> Waiting | None:
    """A notice of the kernel about a packet."""
    queue, attributes = resource_and_attributes(body)
    header = attributes.get(_HEADER, b"")
    if len(header) < 4:
        return None
    length = attributes.get(_CAPTURED, b"")  # left out where all octets were told
    octets = int.from_bytes(length[:4], "big") if length else len(attributes.get(_PAYLOAD, b""))
    return Waiting(queue, int.from_bytes(header[:4], "big"), octets)
