"""The networks that tests run in, with documentation addresses (RFC 5737, RFC 3849).

Outside, the peer is 192.0.2.254 and 2001:db8:0:2::fe, testers are the other addresses of those prefixes. Inside
tunnels, 203.0.113.N and 2001:db8:0:113::N answer at the peer, 198.51.100.N and 2001:db8:0:100::N are the testers'.
"""

from dataclasses import dataclass

from ipsectest.lab.lab import Lab
from ipsectest.lab.namespaces import Namespace, add_veth

PEER = "192.0.2.254"
PEER_V6 = "2001:db8:0:2::fe"
INNER_SLOTS = range(1, 254)
_BEHIND = 120
"""Added to the last octet; where slots go up to 120."""


def peer_inner(slot: int) -> tuple[str, str]:
    """The addresses that answer inside the tunnels of a slot, IPv4 and IPv6."""
    return f"203.0.113.{slot}", f"2001:db8:0:113::{slot:x}"


def behind_peer(slot: int) -> tuple[str, str]:
    """A host of the network behind the peer that belongs to a slot: routed to the wire, so the tester plays it."""
    return f"203.0.113.{slot + _BEHIND}", f"2001:db8:0:113::1:{slot:x}"


def furnish_peer(namespace: Namespace, wire: str, slots: range = INNER_SLOTS) -> None:
    """Give the peer's namespace its outer addresses on the wire and one pair of inner addresses for each slot."""
    namespace.add_addresses(wire, f"{PEER}/24", f"{PEER_V6}/64")
    namespace.up(wire)
    # Host addresses, not one AnyIP prefix: charon takes the source of a route from an address it can see on a link.
    inner = [peer_inner(slot) for slot in slots]
    namespace.add_addresses("lo", *(f"{v4}/32" for v4, _ in inner), *(f"{v6}/128" for _, v6 in inner))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two namespaces joined by one link called ``wire`` in both; addresses .1 and .2 of either version."""

    left: Namespace
    right: Namespace
    left_address: str = "192.0.2.1"
    right_address: str = "192.0.2.2"
    left_address_v6: str = "2001:db8:0:2::1"
    right_address_v6: str = "2001:db8:0:2::2"


def pair(lab: Lab, left: str = "left", right: str = "right") -> Pair:
    """Make two joined namespaces."""
    made = Pair(lab.namespace(left), lab.namespace(right))
    add_veth(made.left, "wire", made.right, "wire")
    made.left.add_addresses("wire", f"{made.left_address}/24", f"{made.left_address_v6}/64")
    made.right.add_addresses("wire", f"{made.right_address}/24", f"{made.right_address_v6}/64")
    return made
