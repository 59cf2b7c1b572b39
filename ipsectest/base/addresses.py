"""Transport addresses and datagrams: what sans-IO engines, drivers and wires pass each other."""

from dataclasses import dataclass, field

ANY_HOST = "%any"
"""As the host of a remote `Address`: the peer may be anywhere."""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """An IP address as text (canonical form of ``ipaddress``) and a port, 0 where the protocol has none."""

    host: str
    port: int = 0

    def __str__(self) -> str:
        """``192.0.2.1:500``, ``[2001:db8::1]:500`` or the bare host without a port."""
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_ipv6(self) -> bool:
        """Whether the host is an IPv6 address."""
        return ":" in self.host


@dataclass(frozen=True, slots=True)
class Datagram:
    """The payload of one IP packet on its way from source to destination.

    ``protocol`` is the IP protocol: 17 (``data`` is the UDP payload, on port 4500 with whatever precedes
    or replaces the non-ESP marker), 50 (``data`` starts with the ESP header) or 51 (``data`` is the whole
    IP packet, because AH authenticates its header too). Any other is a packet in clear, ``data`` the whole of it.
    """

    data: bytes
    source: Address
    destination: Address
    protocol: int = 17
    packet: bytes = field(default=b"", compare=False, repr=False)
    """The whole IP packet: the one it came in, or the one to be sent as it is. Empty: whatever carries the payload."""
