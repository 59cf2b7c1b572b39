"""Datagrams by the kernel's own sockets: UDP 500 and 4500, and raw ESP, for IPv4 and IPv6."""

import socket
import struct
from collections import deque
from collections.abc import Iterable, Sequence

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import Instant
from ipsectest.base.errors import LabError
from ipsectest.base.iana import IKE_PORT, NAT_T_PORT
from ipsectest.net.inside import inside
from ipsectest.net.wire import IcmpError
from ipsectest.net.xfrm.errors import XfrmError
from ipsectest.net.xfrm.sockets import bypass, decapsulate
from ipsectest.wire.datagrams import host_octets, host_text
from ipsectest.wire.ip import ESP, UDP, parse_ip

_IP_PKTINFO = 8
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_DONT = 10, 23, 0
_MAX_DATAGRAM = 65535
_BATCH = 64


class SocketWire:
    """All local addresses of a namespace; replies leave from the address the question came to (IP_PKTINFO).

    ``hosts`` are the addresses to bind to, instead of all of both families; ``bound`` lists what the sockets for UDP
    are bound to, in order. ``protocols`` are raw IP protocols to take besides UDP; ``mark`` is on all that is sent
    (SO_MARK). Raises LabError for ports that are taken or privileges that are missing. ICMP errors are the kernel's
    business here: ``icmp_errors`` stays empty.
    """

    def __init__(
        self,
        namespace: str | None = None,
        *,
        ports: Iterable[int] = (IKE_PORT, NAT_T_PORT),
        protocols: Iterable[int] = (ESP,),
        mark: int = 0,
        hosts: Iterable[str] = (),
    ) -> None:
        self.icmp_errors: deque[IcmpError] = deque(maxlen=1)
        self._mark = mark
        self._sockets: dict[int, tuple[socket.socket, int, int]] = {}  # descriptor: socket, protocol, port
        self._senders: dict[tuple[socket.AddressFamily, int, int], socket.socket] = {}  # (family, protocol, port)
        self.bound: list[Address] = []
        wanted = [(UDP, port) for port in ports] + [(protocol, 0) for protocol in protocols]
        binds = [(socket.AF_INET6 if ":" in host else socket.AF_INET, host) for host in hosts]

        def open_all() -> None:
            for protocol, port in wanted:
                for family, host in binds or ((socket.AF_INET, ""), (socket.AF_INET6, "")):
                    self._open(family, protocol, Address(host, port))

        try:
            inside(namespace, open_all)
        except OSError as error:
            self.close()
            raise LabError(f"cannot open IKE and ESP sockets: {error.strerror}") from error

    def leave_esp_to_kernel(self) -> None:
        """Make room for ``xfrm_plane``: IKE passes all policies, and ESP on port 4500 goes to the kernel's SAs.

        For a wire without raw ``protocols``. Raises LabError where the kernel cannot.
        """
        try:
            for endpoint, protocol, port in self._sockets.values():
                if protocol == UDP:
                    bypass(endpoint)
                    if port == NAT_T_PORT:
                        decapsulate(endpoint)
        except XfrmError as error:
            raise LabError(str(error)) from error

    def handles(self) -> Sequence[int]:
        """The descriptors of all sockets."""
        return tuple(self._sockets)

    def receive(self, handle: int, now: Instant) -> list[Datagram]:
        """The datagrams that wait at one socket."""
        del now
        receiver, protocol, port = self._sockets[handle]
        datagrams: list[Datagram] = []
        while len(datagrams) < _BATCH:
            try:
                data, ancillary, _, sender = receiver.recvmsg(_MAX_DATAGRAM, 128)
            except OSError:  # nothing left, or a pending error of an earlier send
                break
            if protocol != UDP and receiver.family == socket.AF_INET:
                packet = parse_ip(data)  # raw IPv4 sockets give the IP header too
                if packet is None:
                    continue
                data = packet.payload
            source = Address(sender[0].partition("%")[0], sender[1] if protocol == UDP else 0)
            local = _local_address(ancillary)
            if local is not None:
                datagrams.append(Datagram(data, source, Address(local, port), protocol))
        return datagrams

    def send(self, datagram: Datagram, now: Instant) -> bool:
        """Send from the datagram's source address and port; False if there is no such socket or the kernel refuses."""
        del now
        family = socket.AF_INET6 if datagram.source.is_ipv6 else socket.AF_INET
        sender = self._senders.get((family, datagram.protocol, datagram.source.port))
        if sender is None:
            return False
        source = host_octets(datagram.source.host)
        if family == socket.AF_INET:
            control = (socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("=I4s4x", 0, source))
        else:
            control = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, struct.pack("=16sI", source, 0))
        port = datagram.destination.port if datagram.protocol == UDP else 0
        try:
            sender.sendmsg([datagram.data], [control], 0, (datagram.destination.host, port))
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close all sockets."""
        for made, _, _ in self._sockets.values():
            made.close()
        self._sockets.clear()
        self._senders.clear()

    def _open(self, family: socket.AddressFamily, protocol: int, local: Address) -> None:
        made = socket.socket(family, socket.SOCK_DGRAM if protocol == UDP else socket.SOCK_RAW, protocol)
        self._sockets[made.fileno()] = made, protocol, local.port
        made.setblocking(False)
        if self._mark:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, self._mark)
        if family == socket.AF_INET:
            made.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            # Without path MTU discovery large messages leave in fragments, as RFC 7296 section 2 expects of UDP.
            made.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_DONT)
        else:
            if protocol == UDP:  # raw sockets are of one family anyway, and refuse the option
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_DONT)
        if protocol == UDP or local.host:
            made.bind((local.host, local.port))
        bound = made.getsockname()[1] if protocol == UDP else 0
        if protocol == UDP:
            self.bound.append(Address(local.host, bound))
        self._sockets[made.fileno()] = made, protocol, bound
        self._senders[family, protocol, bound] = made


def _local_address(ancillary: list[tuple[int, int, bytes]]) -> str | None:
    """The destination address of a received packet, out of IP_PKTINFO or IPV6_PKTINFO."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO) and len(data) >= 12:
            return host_text(data[8:12])
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO) and len(data) >= 16:
            return host_text(data[:16])
    return None
