"""Facts of the captures of a run, collected while ``decrypt`` reads them."""

from ipsectest.base.addresses import Address
from ipsectest.base.iana import ExchangeType
from ipsectest.base.iana_ikev1 import ExchangeV1
from ipsectest.decrypt.frames import Frame
from ipsectest.decrypt.ike import Opened
from ipsectest.decrypt.ikev1 import OpenedV1
from ipsectest.decrypt.ikev1.messages import is_ikev1
from ipsectest.decrypt.unwrap import Unwrapped
from ipsectest.explain.conversations import Conversations, Sighting, fragment_of
from ipsectest.explain.flows import Flows
from ipsectest.explain.ikev1 import ConversationsV1
from ipsectest.explain.path import Path
from ipsectest.wire import parse_message
from ipsectest.wire.datagrams import host_text
from ipsectest.wire.ip import ICMP, ICMPV6, IpPacket, parse_ip, parse_udp

_EXCHANGES, _EXCHANGES_V1 = set(map(int, ExchangeType)), set(map(int, ExchangeV1))


class CaptureFacts:
    """A ``decrypt.observer.Observer`` for one capture."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.conversations = Conversations()
        self.flows = Flows()
        self.path = Path()
        self.ikev1 = ConversationsV1()
        self.start: int | None = None
        """Nanoseconds of the first packet with IPsec."""
        self.end = 0
        """Of the last packet of any kind."""

    def message(self, frame: Frame, packet: IpPacket, octets: bytes, opened: Opened | OpenedV1 | None) -> None:
        """An IKE message."""
        self._seen(frame)
        udp = parse_udp(packet.payload)
        ports = udp[:2] if udp else _tcp_ports(packet)
        if opened is None and is_ikev1(octets):  # a fragment that completes no message
            return
        message = opened.message if isinstance(opened, Opened) else parse_message(octets)
        known = _EXCHANGES_V1 if is_ikev1(octets) else _EXCHANGES
        if int.from_bytes(octets[24:28], "big") != len(octets) and message.exchange_type not in known:
            return  # something else on port 500
        sighting = Sighting(
            frame=frame.number,
            nanoseconds=frame.nanoseconds,
            source=Address(host_text(packet.source), ports[0]),
            destination=Address(host_text(packet.destination), ports[1]),
            length=len(octets),
            packet_length=len(packet.headers) + len(packet.payload),
            fragment=fragment_of(message),
            digest=hash(octets),
        )
        if isinstance(opened, OpenedV1):
            self.ikev1.take(opened, sighting)
        else:
            self.conversations.take(message, opened, sighting)
        self.path.completed(frame)

    def protected(self, frame: Frame, packet: bytes, unwrapped: Unwrapped) -> None:
        """ESP or AH."""
        self._seen(frame)
        ip = parse_ip(packet)
        if ip:
            self.flows.take(frame, ip, unwrapped)
            self.path.completed(frame)

    def clear(self, frame: Frame, packet: IpPacket) -> None:
        """Anything else, of which ICMP errors tell something."""
        self.end = max(self.end, frame.nanoseconds)
        if packet.protocol in {ICMP, ICMPV6}:
            self.path.error(frame, packet)

    def fragment(self, frame: Frame, packet: bytes) -> None:
        """A fragment."""
        ip = parse_ip(packet)
        if ip:
            self.path.fragment(frame, ip)

    def _seen(self, frame: Frame) -> None:
        self.start = frame.nanoseconds if self.start is None else self.start
        self.end = max(self.end, frame.nanoseconds)


def _tcp_ports(packet: IpPacket) -> tuple[int, int]:
    """Of IKE over TCP (RFC 9329)."""
    return int.from_bytes(packet.payload[:2], "big"), int.from_bytes(packet.payload[2:4], "big")
