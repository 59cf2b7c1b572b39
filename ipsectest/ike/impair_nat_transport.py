"""Impairments of transport mode behind a NAT (RFC 7296 section 2.23.1)."""

from dataclasses import replace
from ipaddress import ip_network

from ipsectest.base.iana import NotifyType
from ipsectest.ike import nat_transport, selectors
from ipsectest.ike.impairment import Impairment
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import IkeSa
from ipsectest.wire import Message, TrafficSelector, TSi, TSr

_NETWORK = {4: 24, 16: 64}
"""Prefix lengths by octets of an address."""


def _offer_networks(_: IkeSa | None, message: Message) -> None:
    """Selectors of a request for transport mode are for the networks around the two hosts."""
    if message.is_response or message.notify(NotifyType.USE_TRANSPORT_MODE) is None:
        return
    for payload in (*message.all(TSi), *message.all(TSr)):
        payload.selectors = [_widened(one) if isinstance(one, TrafficSelector) else one for one in payload.selectors]


def _widened(selector: TrafficSelector) -> TrafficSelector:
    network = ip_network((selector.start, _NETWORK[len(selector.start)]), strict=False)
    return replace(selector, start=network[0].packed, end=network[-1].packed)


class _Unaware(Policy):
    def substitutes(self, sa: IkeSa) -> bool:
        del sa
        return False


class _SubstitutesAlways(Policy):
    """For tunnels too, so that what the client really asks for is never looked up."""

    def incoming(self, sa: IkeSa | None, message: Message) -> Message | None:
        payload = message.get(TSi)
        if sa is not None and sa.remote_behind_nat and payload is not None and not message.is_response:
            payload.selectors = [*nat_transport.renew(selectors.usable(payload.selectors), sa.remote.host)]
        return super().incoming(sa, message)


NAT_TRANSPORT: tuple[Impairment, ...] = (
    Impairment("keeps-nat-selectors", "selectors of transport mode stay what they were behind a NAT", mixin=_Unaware),
    Impairment("offers-nat-networks", "transport mode is offered for networks", edits=_offer_networks),
    Impairment("substitutes-for-tunnels", "selectors of tunnels are changed behind a NAT", mixin=_SubstitutesAlways),
)
"""Faults of transport mode behind a NAT."""
