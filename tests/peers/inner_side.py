"""What the gateways of an interop cell are given and give out in clear: every TUN device of their namespaces."""

import socket
from collections.abc import Sequence

from ipsectest.base.clock import Instant
from ipsectest.lab.namespaces import Namespace

_ETH_P_ALL = 0x0003
_PACKET_OUTGOING = 4
_ARPHRD_NONE = 0xFFFE
"""Hardware type of a TUN device."""


class InnerSide:
    """A machine for ``net.loop.EventLoop``: packets that hosts send into tunnels, as octets and in their order."""

    def __init__(self, namespaces: Sequence[Namespace]) -> None:
        self.sent: list[bytes] = []
        """By the kernel into a TUN device: what a gateway is to protect."""
        self.received: list[bytes] = []
        """Out of a TUN device: what a gateway had unprotected."""
        self._sockets = {}
        for namespace in namespaces:
            one = namespace.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
            one.setblocking(False)
            self._sockets[one.fileno()] = one

    def handles(self) -> Sequence[int]:
        """The packet sockets, which see every device."""
        return tuple(self._sockets)

    def readable(self, handle: int, now: Instant) -> None:
        """Keep what crossed a TUN device."""
        del now
        while True:
            try:
                data, (_, _, kind, hardware, _) = self._sockets[handle].recvfrom(65535)
            except BlockingIOError:
                return
            except OSError:  # told once when a device goes
                continue
            if hardware == _ARPHRD_NONE:
                (self.sent if kind == _PACKET_OUTGOING else self.received).append(data)

    def get_timer(self) -> None:
        """None."""

    def handle_timer(self, now: Instant) -> None:
        """Not called."""

    def close(self) -> None:
        """Close the sockets."""
        for handle, one in self._sockets.items():
            self.readable(handle, 0.0)
            one.close()
