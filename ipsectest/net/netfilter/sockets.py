"""A netlink socket to netfilter in a namespace; it never waits, as the kernel has answered when a request is sent."""

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from itertools import count

from ipsectest.net.inside import inside
from ipsectest.net.netfilter.messages import NLMSG_ERROR, error_of, messages

_NETLINK_NETFILTER = 12
_SOL_NETLINK, _NETLINK_NO_ENOBUFS = 270, 5
_SO_RCVBUFFORCE = 33
_LARGEST = 1 << 16
_BATCH = 4096


class NetfilterSocket:
    """Requests with their answers; ``unasked`` keeps messages that came without being an answer. Raises OSError."""

    def __init__(self, namespace: str | None, buffer: int = 0) -> None:
        self._socket = inside(
            namespace,
            lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETLINK_NETFILTER),
        )
        self.unasked: list[bytes] = []
        """Their bodies."""
        self._numbers = count(1)
        try:
            self._socket.bind((0, 0))
            if buffer:
                with suppress(PermissionError):
                    self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer)
                self._socket.setsockopt(_SOL_NETLINK, _NETLINK_NO_ENOBUFS, 1)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def number(self) -> int:
        """The sequence number of another request."""
        return next(self._numbers) & 0xFFFFFFFF

    def ask(self, data: bytes, numbers: Iterable[int]) -> None:
        """Send requests and see that none of these sequence numbers is refused, and that the last is done."""
        wanted = tuple(numbers)
        self._socket.sendto(data, (0, 0))
        while True:
            for sequence, error in self._read():
                if sequence in wanted and error:
                    raise OSError(error, os.strerror(error))
                if sequence == wanted[-1]:
                    return

    def tell(self, data: bytes) -> None:
        """Send requests whose answers nobody waits for."""
        self._socket.sendto(data, (0, 0))

    def receive(self) -> list[bytes]:
        """The bodies of what came unasked, thousands at most."""
        for _ in range(_BATCH):
            try:
                self._read()
            except OSError:
                break
        unasked, self.unasked = self.unasked, []
        return unasked

    def close(self) -> None:
        """Close the socket; what belongs to it (its tables and queues) goes with it."""
        self._socket.close()

    def _read(self) -> list[tuple[int, int]]:
        """Answers of one datagram as sequence number and errno; BlockingIOError if there is none."""
        answers = []
        data, (sender, _) = self._socket.recvfrom(_LARGEST)
        if sender:  # only the kernel has port 0
            return []
        for kind, sequence, body in messages(data):
            if kind == NLMSG_ERROR:
                answers.append((sequence, error_of(body)))
            else:
                self.unasked.append(body)
        return answers
