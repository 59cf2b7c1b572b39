"""What stands behind each peer of an interop run, in either role, on every bench."""

from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.topology.commands import set_sysctl

INITIATOR, RESPONDER = 0, 1
"""Roles, as indices."""
_INNER = ("198.51.100.{}", "2001:db8:0:100::{:x}"), ("203.0.113.{}", "2001:db8:0:113::{:x}")
_QUIET = {
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv6/conf/default/router_solicitations": "0",
}
"""A link-local address that is still tentative asks for no neighbours, for one or two seconds."""


def label_of(role: int, number: int) -> str:
    """Name of the namespace of a peer, which has a number from 1, in a role."""
    return f"{'ir'[role]}{number}"


def inner_address(role: int, number: int, version: int) -> str:
    """Where the pings of a peer in a role come from."""
    return _INNER[role][version == 6].format(number)


def inner_prefixes(role: int, number: int) -> tuple[str, str]:
    """The same addresses of both IP versions, to be given to an interface."""
    return f"{inner_address(role, number, 4)}/32", f"{inner_address(role, number, 6)}/128"


def quieten(namespace: Namespace) -> None:
    """Keep interfaces that are added from sending anything by themselves."""
    for key, value in _QUIET.items():
        set_sysctl(namespace, key, value)
