"""One ICMP echo request from inside a peer's network: the verb ``ping`` of daemons that protect the host's traffic."""

import socket
import struct

from ipsectest.base.errors import PeerError
from ipsectest.lab.namespaces import Namespace

_ECHO_REQUEST = 8
_ECHO_REQUEST_V6 = 128
_PAYLOAD = b"ipsectest ping from the peer"
_IDENTIFIER = 0x4970


def send_echo_request(namespace: Namespace, source: str, destination: str, sequence: int = 1) -> None:
    """Send it from one inner address to the other; PeerError if the peer's network has no way there."""
    v6 = ":" in source
    family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if v6 else (socket.AF_INET, socket.IPPROTO_ICMP)
    with namespace.socket(family, socket.SOCK_RAW, protocol) as sender:
        sender.setblocking(False)
        try:
            sender.bind((source, 0))
            sender.sendto(echo_request(sequence, v6=v6), (destination, 0))
        except OSError as error:
            raise PeerError(f"the peer cannot ping {destination} from {source}: {error.strerror}") from None


def echo_request(sequence: int, *, v6: bool = False) -> bytes:
    """The ICMP message (RFC 792, RFC 4443 section 4.1); the kernel fills in the checksum of ICMPv6."""
    kind = _ECHO_REQUEST_V6 if v6 else _ECHO_REQUEST
    message = struct.pack("!BBHHH", kind, 0, 0, _IDENTIFIER, sequence) + _PAYLOAD
    return message if v6 else message[:2] + internet_checksum(message) + message[4:]


def internet_checksum(data: bytes) -> bytes:
    """The ones' complement sum of RFC 1071 over octets with a zero checksum field."""
    padded = data + bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", total ^ 0xFFFF)
