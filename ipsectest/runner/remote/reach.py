"""Whether the way to a silent peer says itself why nothing comes back: ICMP errors, routes that are missing."""

import errno
import os
import select
import socket

from ipsectest.net.inside import inside
from ipsectest.peers.remote.description import Remote, Seat

_CAP = 1.0
"""Seconds for an ICMP error to come back."""
_PROBE = b"\xff"
"""A NAT keepalive (RFC 3948 section 2.3): nobody answers it, nobody keeps anything for it."""


def obstacle(remote: Remote, seat: Seat) -> str:
    """What an octet to the peer's IKE port runs into; empty if nobody says anything."""

    def opened() -> socket.socket:
        family = socket.AF_INET6 if remote.ip == 6 else socket.AF_INET
        return socket.socket(family, socket.SOCK_DGRAM)

    port = remote.peer_ports.ike
    with inside(remote.netns, opened) as probe:
        try:
            probe.bind((seat.address, 0))
            probe.connect((remote.address, port))  # only connected sockets are told of ICMP errors
            probe.send(_PROBE)
            error = _error_at(probe)
        except OSError as refusal:
            error = refusal.errno or 0
    if error == errno.ECONNREFUSED:
        return f"refused: nothing listens on UDP port {port} of {remote.address}, or a firewall says so"
    return f"no way to {remote.address}: {os.strerror(error)}" if error else ""


def _error_at(probe: socket.socket) -> int:
    poll = select.poll()
    poll.register(probe, 0)  # errors are always told
    poll.poll(_CAP * 1000)
    return probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
