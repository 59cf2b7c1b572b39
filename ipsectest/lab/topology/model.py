"""What a topology consists of, checked and ready to be realised."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ipsectest.net.impairment import Impairment


class Role(StrEnum):
    """What a node is; all but hosts forward packets."""

    HOST = "host"
    GATEWAY = "gateway"
    ROUTER = "router"
    NAT = "nat"


@dataclass(frozen=True, slots=True)
class Route:
    """A static route of one node."""

    destination: str
    """A prefix; ``0.0.0.0/0`` or ``::/0`` for the default route."""
    gateway: str
    """An address on one of the node's links."""
    metric: int = 0
    """The lowest of those that are usable wins; 0: the kernel's default."""


@dataclass(frozen=True, slots=True)
class Nat:
    """Source NAT of all IPv4 that leaves by one link (RFC 3022, NAPT)."""

    outside: str
    """The link's name at this node."""
    ports: tuple[tuple[int, int], ...] = ()
    """Ranges for UDP and TCP ports: the first at the start, the next one each time the NAT forgets; none: any port."""
    timeout: int | None = None
    """Seconds after which an idle UDP mapping is gone; None: the kernel's default."""
    server: str = ""
    """The inside address that IKE and ESP in UDP from outside go to; empty: nothing is let in."""


@dataclass(frozen=True, slots=True)
class EndpointPlace:
    """Where an IKE endpoint stands; at most one address of each IP version on either side."""

    role: str
    """``initiator`` or ``responder``."""
    local: tuple[str, ...]
    """Its own outer addresses."""
    remote: tuple[str, ...] = ()
    """Where it finds the other end, which a NAT may make another address than that end's own; empty: anywhere."""
    protects: tuple[str, ...] = ()
    """The prefixes behind it: its side of the traffic selectors."""


@dataclass(frozen=True, slots=True)
class Node:
    """One network namespace."""

    name: str
    role: Role
    endpoint: EndpointPlace | None = None
    addresses: tuple[str, ...] = ()
    """On the loopback: there whichever link is up."""
    routes: tuple[Route, ...] = ()
    nat: Nat | None = None


@dataclass(frozen=True, slots=True)
class End:
    """Where a link ends: the device at a node, with addresses such as ``192.0.2.1/24``."""

    node: str
    device: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A wire between two nodes."""

    name: str
    ends: tuple[End, End]
    mtu: int = 1500
    impairment: Impairment | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """A whole network. ``load`` reads one from a file; ``realise`` builds it."""

    name: str
    title: str
    why: str
    nodes: Mapping[str, Node]
    links: tuple[Link, ...]

    @staticmethod
    def load(path: Path) -> "Topology":
        """Read a description; InputError with file and line for whatever is wrong with it."""
        from ipsectest.lab.topology.load import load  # noqa: PLC0415 - the reader imports this module

        return load(path)

    def ends_of(self, node: str) -> list[End]:
        """The ends of links at a node, in the order of the file."""
        return [end for link in self.links for end in link.ends if end.node == node]
