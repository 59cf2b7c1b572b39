"""Which layer follows which: IKEv2 on UDP ports 500 and 4500.

Scapy's bindings are global to the process, so nothing is bound by importing: the shell and the
lab call ``bind()``; a program with its own ideas about port 500 calls ``unbind()``.
"""

from scapy.layers.inet import UDP
from scapy.layers.ipsec import NON_ESP
from scapy.layers.isakmp import ISAKMP
from scapy.packet import bind_bottom_up, bind_top_down, split_bottom_up, split_top_down

from ipsectest.base.iana import IKE_PORT
from ipsectest.layers.ikev2 import IKEv2

_ENDS = ({"dport": IKE_PORT}, {"sport": IKE_PORT})


def bind() -> None:
    """Dissect UDP port 500, and what follows a non-ESP marker, as IKEv2 (version 1 as ISAKMP).

    Port 4500 itself needs nothing: Scapy's ESP tells the marker, keepalives and ESP apart.
    Calling it twice is the same as once.
    """
    unbind()
    for fields in _ENDS:
        split_bottom_up(UDP, ISAKMP, **fields)
        bind_bottom_up(UDP, IKEv2, **fields)
    split_bottom_up(NON_ESP, ISAKMP)
    bind_bottom_up(NON_ESP, IKEv2)
    bind_top_down(UDP, IKEv2, dport=IKE_PORT, sport=IKE_PORT)


def unbind() -> None:
    """Give the ports back to Scapy's own ISAKMP layer."""
    for fields in _ENDS:
        split_bottom_up(UDP, IKEv2, **fields)
        split_bottom_up(UDP, ISAKMP, **fields)
        bind_bottom_up(UDP, ISAKMP, **fields)
    split_bottom_up(NON_ESP, IKEv2)
    split_bottom_up(NON_ESP, ISAKMP)
    bind_bottom_up(NON_ESP, ISAKMP)
    split_top_down(UDP, IKEv2, dport=IKE_PORT, sport=IKE_PORT)
