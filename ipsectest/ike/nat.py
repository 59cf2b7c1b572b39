"""NAT detection (RFC 7296 section 2.23)."""

import hashlib
import ipaddress
from functools import lru_cache

from ipsectest.base.addresses import Address
from ipsectest.base.iana import NotifyType
from ipsectest.ike.sa import IkeSa
from ipsectest.wire import Message, Notify

_SOURCE, _DESTINATION = NotifyType.NAT_DETECTION_SOURCE_IP, NotifyType.NAT_DETECTION_DESTINATION_IP


@lru_cache(maxsize=1024)
def _packed(host: str) -> bytes:
    return ipaddress.ip_address(host).packed


def detection_hash(spi_i: bytes, spi_r: bytes, address: Address) -> bytes:
    """SHA-1 of the SPIs as they stand in this message's header, the address and the port: 20 octets."""
    return hashlib.sha1(
        spi_i + spi_r + _packed(address.host) + address.port.to_bytes(2, "big"), usedforsecurity=False
    ).digest()


def notifies(sa: IkeSa) -> list[Notify]:
    """The two notifies of our IKE_SA_INIT message; a request has a zero SPIr."""
    return [
        Notify(_SOURCE, detection_hash(sa.spi_i, sa.spi_r, sa.local)),
        Notify(_DESTINATION, detection_hash(sa.spi_i, sa.spi_r, sa.remote)),
    ]


def detect(sa: IkeSa, message: Message) -> None:
    """Compare the peer's notifies with the addresses its message came with; sets the two NAT flags of sa.

    A peer that sends none does not support NAT traversal, and nothing is detected.
    """
    sources = [n.data for n in message.all(Notify) if n.notify_type == _SOURCE]
    destinations = [n.data for n in message.all(Notify) if n.notify_type == _DESTINATION]
    if not sources or not destinations:
        return
    spis = message.initiator_spi, message.responder_spi
    sa.remote_behind_nat = detection_hash(*spis, sa.remote) not in sources
    sa.local_behind_nat = detection_hash(*spis, sa.local) not in destinations
