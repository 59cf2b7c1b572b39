"""Octets by TCP from one namespace to another, while an event loop runs; by sockets of the kernel."""

import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from ipsectest.net.inside import inside
from ipsectest.net.loop import EventLoop

_PIECE = 1 << 15
_CAP = 20.0


class _Stream:
    """A machine around one socket: calls ``move`` in every turn of the loop in which it is ready or has to wait."""

    def __init__(self, made: socket.socket, move: Callable[[], None], due: float | None) -> None:
        made.setblocking(False)
        self.socket, self._move, self._due = made, move, due

    def handles(self) -> Sequence[int]:
        return (self.socket.fileno(),)

    def readable(self, handle: int, now: float) -> None:
        del handle, now
        self._move()

    def get_timer(self) -> float | None:
        return self._due

    def handle_timer(self, now: float) -> None:
        self._due = now + 0.005
        self._move()


def transfer(loop: EventLoop, source: tuple[str, str], target: tuple[str, str], length: int) -> int:
    """Send random octets from one namespace to another; how many arrived as they were sent.

    Each comes with the address that the other one sees.
    """
    address = target[1]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = inside(target[0], lambda: socket.create_server(("", 0), family=family))
    sender = inside(source[0], lambda: socket.socket(family))
    octets, sent, arrived = secrets.token_bytes(length), 0, bytearray()
    accepted: list[_Stream] = []

    def accept() -> None:
        taken, (peer, *_) = listener.accept()
        assert peer == source[1]
        accepted.append(_Stream(taken, lambda: take(taken), None))
        loop.add(accepted[0])

    def take(taken: socket.socket) -> None:
        with suppress(BlockingIOError):
            arrived.extend(taken.recv(_PIECE))

    def push() -> None:
        nonlocal sent
        with suppress(BlockingIOError, BrokenPipeError):  # broken: not connected yet
            sent += sender.send(octets[sent : sent + _PIECE]) if sent < length else 0

    sender.setblocking(False)
    with listener, sender:
        with suppress(BlockingIOError):
            sender.connect((address, listener.getsockname()[1]))
        streams = [_Stream(listener, accept, None), _Stream(sender, push, loop.clock.now())]
        for stream in streams:
            loop.add(stream)
        try:
            loop.run_until(lambda: len(arrived) >= length, _CAP)
        finally:
            for stream in (*streams, *accepted):
                loop.remove(stream)
            for stream in accepted:
                stream.socket.close()
    assert octets.startswith(arrived)
    return len(arrived)
