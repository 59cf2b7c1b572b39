"""Whole IP packets for a network of tester addresses, without a kernel stack on our side.

    peer's namespace                           this process
    daemon - kernel - TUN 192.0.2.254/24  <=>  PacketWire, playing 192.0.2.1 to .253

There is no ARP, no connected socket and no port of ours that must be free: any number of testers
with an address of their own share one wire.
"""

import struct
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import Instant
from ipsectest.net.frame_device import FrameDevice
from ipsectest.net.reassembly import Reassembler
from ipsectest.net.tun import TunDevice
from ipsectest.net.wire import Direction, IcmpError, Tap
from ipsectest.wire.datagrams import datagram_of, host_text, packet_of
from ipsectest.wire.fragments import cut
from ipsectest.wire.ip import ESP, ICMP, ICMPV6, UDP, IpPacket, parse_ip

_ERRORS = {ICMP: frozenset({3, 4, 11, 12}), ICMPV6: frozenset({1, 2, 3, 4})}
_ICMP_FRAGMENTATION_NEEDED = (3, 4)
_ICMPV6_PACKET_TOO_BIG = 2
_MAX_DATA = 65535 - 28


class PacketWire:
    """UDP, ESP and AH datagrams over a TUN device that stands in the peer's namespace.

    ``addresses`` are the peer's, with the length of the network in which the tester's lie. Larger packets
    than the device's MTU are sent in fragments, fragments that arrive are put together. Raises LabError.

    What is sent is built as a packet of ``ipsectest.layers``; ``scapy=False`` builds the same octets without,
    a hundred times as fast, for data planes. With a ``device`` that one is used; addresses and routes are then set
    where it leads to. ``clear``: packets of every protocol are taken, not only those of IKE and IPsec.
    """

    def __init__(
        self,
        namespace: str | None,
        addresses: Iterable[str] = ("192.0.2.254/24", "2001:db8::fe/64"),
        *,
        name: str = "tester0",
        routes: Iterable[str] = (),
        mtu: int = 1500,
        tap: Tap | None = None,
        scapy: bool = True,
        device: FrameDevice | None = None,
        clear: bool = False,
    ) -> None:
        self.tun = device or TunDevice(name, namespace, addresses=addresses, routes=routes, mtu=mtu)
        self.tap = tap
        self.icmp_errors: deque[IcmpError] = deque(maxlen=256)
        """Newest last; older ones fall off."""
        self._packet_of = layered_packet_of if scapy else packet_of
        self._clear = clear
        self._reassembler = Reassembler()
        self._identification = 0

    def handles(self) -> Sequence[int]:
        """The device's descriptor."""
        return (self.tun.fileno(),)

    def receive(self, handle: int, now: Instant) -> list[Datagram]:
        """The datagrams that wait; what is neither UDP, ESP nor AH is only shown to the tap, unless asked for."""
        del handle
        datagrams = []
        for packet in self.tun.read():
            if self.tap:
                self.tap(now, Direction.RECEIVED, packet)
            whole = self._reassembler.feed(packet, now)
            ip = parse_ip(whole) if whole else None
            if whole is None or ip is None or ip.is_fragment:
                continue
            error = icmp_error_of(ip)
            if error:
                self.icmp_errors.append(error)
            datagram = datagram_of(whole, ip, clear=self._clear)
            if datagram:
                datagrams.append(replace(datagram, packet=whole))
        return datagrams

    def send(self, datagram: Datagram, now: Instant) -> bool:
        """Write the datagram as one or more IP packets; False for one that no IP packet can hold."""
        if len(datagram.data) > _MAX_DATA:
            return False
        self._identification += 1
        packet = self._packet_of(datagram, self._identification & 0xFFFF)
        return all(self.send_packet(piece, now) for piece in cut(packet, self.tun.mtu, self._identification))

    def send_packet(self, packet: bytes, now: Instant) -> bool:
        """Write a whole IP packet as it is, for what a Datagram cannot say."""
        if self.tap:
            self.tap(now, Direction.SENT, packet)
        return self.tun.write(packet)

    def close(self) -> None:
        """Remove the device."""
        self.tun.close()


def layered_packet_of(datagram: Datagram, identification: int = 0) -> bytes:
    """``packet_of`` by way of Scapy."""
    if datagram.packet or datagram.protocol not in {UDP, ESP}:
        return datagram.packet or datagram.data
    from ipsectest.layers import datagrams  # noqa: PLC0415  # scapy is loaded where a packet is sent, not before

    packet = datagrams.ip_packet(datagram)
    if not datagram.source.is_ipv6:
        packet.id = identification
    return bytes(packet)


def icmp_error_of(ip: IpPacket) -> IcmpError | None:
    """The error a packet reports; None for other packets and for errors that quote too little to be matched."""
    if len(ip.payload) < 8 or ip.payload[0] not in _ERRORS.get(ip.protocol, ()):
        return None
    kind, code, _, word = struct.unpack_from("!BBHI", ip.payload)
    quoted = ip.payload[8:]
    size = 20 if ip.version == 4 else 40
    if len(quoted) < size + 4 or quoted[0] >> 4 != ip.version:
        return None
    if ip.version == 4:
        size = (quoted[0] & 15) * 4
        protocol, source, destination = quoted[9], quoted[12:16], quoted[16:20]
        mtu = word & 0xFFFF if (kind, code) == _ICMP_FRAGMENTATION_NEEDED else 0
    else:
        protocol, source, destination = quoted[6], quoted[8:24], quoted[24:40]
        mtu = word if kind == _ICMPV6_PACKET_TOO_BIG else 0
    ports = quoted[size : size + 4] if protocol == UDP and len(quoted) >= size + 4 else bytes(4)
    source_port, destination_port = struct.unpack("!HH", ports)
    return IcmpError(
        host_text(ip.source),
        kind,
        code,
        mtu,
        Address(host_text(source), source_port),
        Address(host_text(destination), destination_port),
        protocol,
    )
