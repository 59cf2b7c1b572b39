"""The Scapy face of wire: ``IKEv2()/IKEv2_SA(...)``, UDP encapsulation, and doors to datagrams."""

from scapy.layers.ipsec import AH, ESP, NAT_KEEPALIVE, NON_ESP

from ipsectest.layers.binding import bind, unbind
from ipsectest.layers.datagrams import datagram_of, ip_packet, udp_payload
from ipsectest.layers.ikev2 import *  # noqa: F403 - one literal list names the layers
from ipsectest.layers.ikev2 import __all__ as _layers
from ipsectest.layers.sealed import SkKeys, seal, unseal

__all__ = [  # noqa: PLE0604 - _layers is a literal list of names
    "AH",
    "ESP",
    "NAT_KEEPALIVE",
    "NON_ESP",
    "SkKeys",
    "bind",
    "datagram_of",
    "ip_packet",
    "seal",
    "udp_payload",
    "unbind",
    "unseal",
    *_layers,
]
