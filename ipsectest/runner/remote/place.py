"""Where a case stands that meets a remote peer."""

from ipsectest.base.addresses import Address
from ipsectest.base.iana import IKE_PORT
from ipsectest.peers.remote.description import OTHER_PORT, Remote, Seat
from ipsectest.scenario.ports import Certificates, Environment

_RETRANSMIT = 0.5
"""Seconds to our first retransmission: a path may lose something."""
_SOCKETS = "to a remote peer there are UDP sockets, and one for ESP at best"


def place(
    remote: Remote,
    seat: Seat,
    slot: int,
    *,
    raw_esp: bool = True,
    slow: float = 1.0,
    pki: Certificates | None = None,
) -> Environment:
    """The place of a seat that has its address; ``pki`` is for peers that an adapter configures."""
    return Environment(
        tester=Address(seat.address, IKE_PORT),
        peer=Address(remote.address, IKE_PORT),
        inner_tester=seat.inner or seat.address,
        inner_peer=remote.inner or remote.address,
        slot=slot,
        other_port=OTHER_PORT,
        elsewhere=seat.elsewhere,
        slow=slow,
        retransmit=_RETRANSMIT,
        raw_esp=raw_esp,
        without_children=remote.without_children,
        without_kernel=_SOCKETS,
        pki=pki if remote.facts is None else remote.certificates,
        whole_packets=False,
        shared=True,
    )
