"""Address slots: where each of the cases that run at once stands."""

from ipsectest.base.addresses import Address
from ipsectest.base.iana import IKE_PORT
from ipsectest.lab import topology
from ipsectest.scenario.ports import Certificates, Environment

SLOTS = range(1, 121)
"""Slot numbers; the other address of slot N is host 120 + N, the last host of the network is the peer's."""
_OTHER = 120


def rested(used: int) -> list[int]:
    """The slots after so many cases: those come first in which stragglers are the oldest."""
    at = used % len(SLOTS)
    return [*SLOTS[at:], *SLOTS[:at]]


def environment(
    slot: int,
    *,
    ip: int = 4,
    slow: float = 1.0,
    retransmit: float = 0.0,
    raw_esp: bool = True,
    pki: Certificates | None = None,
) -> Environment:
    """The addresses of a slot, IPv4 or IPv6 outside and inside, and how patient a case there is."""
    outer = "192.0.2.{}" if ip == 4 else "2001:db8:0:2::{:x}"
    inner = "198.51.100.{}" if ip == 4 else "2001:db8:0:100::{:x}"
    return Environment(
        tester=Address(outer.format(slot), IKE_PORT),
        peer=Address(topology.PEER if ip == 4 else topology.PEER_V6, IKE_PORT),
        inner_tester=inner.format(slot),
        inner_peer=topology.peer_inner(slot)[0 if ip == 4 else 1],
        slot=slot,
        behind=topology.behind_peer(slot)[0 if ip == 4 else 1],
        elsewhere=outer.format(slot + _OTHER),
        slow=slow,
        retransmit=retransmit,
        raw_esp=raw_esp,
        pki=pki,
    )


def hosts(place: Environment) -> tuple[str, ...]:
    """The addresses that belong to the slot: ours, and the host behind the peer that we play."""
    return (place.tester.host, place.elsewhere, place.inner_tester, place.behind)
