"""The addresses of the two ends in the guest."""

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

LEFT, RIGHT = "left", "right"
"""Namespaces of the guest."""
WIRE = "wire"


@dataclass(frozen=True, slots=True)
class Site:
    """What the ends are called, left first."""

    outer: tuple[str, str]
    outer_length: int
    inner_prefixes: tuple[str, str]
    """What they protect: room for 65,536 hosts each."""

    @property
    def inner(self) -> tuple[str, str]:
        """The first host of either prefix."""
        return self.host(0, 1), self.host(1, 1)

    @property
    def host_length(self) -> int:
        """Length of the prefix of one address."""
        return ip_address(self.outer[0]).max_prefixlen

    def host(self, side: int, number: int) -> str:
        """A protected address of the left (0) or right (1) end."""
        return str(ip_network(self.inner_prefixes[side])[number])


SITES = {
    4: Site(("192.0.2.1", "192.0.2.2"), 24, ("10.1.0.0/16", "10.2.0.0/16")),
    6: Site(("2001:db8:0:2::1", "2001:db8:0:2::2"), 64, ("2001:db8:a::/112", "2001:db8:b::/112")),
}
