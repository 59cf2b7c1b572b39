"""What a packet asks for that finds no SA: the Child SA that would carry it, and its own selectors."""

from collections.abc import Sequence
from dataclasses import dataclass

from ipsectest.ike.config import ChildConfig
from ipsectest.ike.selectors import contains
from ipsectest.ipsec.spd import WITH_PORTS
from ipsectest.net.xfrm import Acquire
from ipsectest.wire import TrafficSelector
from ipsectest.wire.ip import ICMP, ICMPV6

_ANY = 0, 0xFFFF


@dataclass(frozen=True, slots=True)
class Asked:
    """A Child SA that is being negotiated because of an ACQUIRE."""

    wanted: ChildConfig
    """As configured."""
    offered: ChildConfig
    """With the packet's selectors first."""
    seq: int
    """Of the ACQUIRE."""

    def is_for(self, config: ChildConfig) -> bool:
        """Whether a Child SA of that configuration is the one: ours, or what the peer sets up meanwhile."""
        return config is self.wanted or config is self.offered


def asked(children: Sequence[ChildConfig], acquire: Acquire) -> Asked | None:
    """The first of these Child SAs that would carry the packet, None if none would."""
    packet = packet_selectors(acquire)
    for child in children:
        sides = zip((child.local_ts, child.remote_ts), packet, strict=True)
        if all(any(contains(wide, one) for wide in side) for side, one in sides):
            return Asked(child, child.wanted_by(*packet), acquire.seq)
    return None


def packet_selectors(acquire: Acquire) -> tuple[TrafficSelector, TrafficSelector]:
    """The packet's own selectors, TSi and TSr: addresses, protocol and ports (RFC 7296 section 2.9).

    Type and code of ICMP are one number, the same in both (section 3.13.1).
    """
    flow = acquire.selector
    source, destination = ((port, port) if port else _ANY for port in (flow.sport, flow.dport))
    if flow.proto in {ICMP, ICMPV6}:
        number = (flow.sport or 0) << 8 | (flow.dport or 0)
        source = destination = number, number
    elif flow.proto not in WITH_PORTS:  # Linux has other numbers in these fields: keys of GRE, types of MH
        source = destination = _ANY
    return TrafficSelector.of(flow.src, flow.proto, source), TrafficSelector.of(flow.dst, flow.proto, destination)
