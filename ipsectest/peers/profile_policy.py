"""Our own endpoint speaking like somebody: what a profile announces, and addresses asked for and given."""

import ipaddress
from collections.abc import Mapping, Sequence

from ipsectest.base.iana import (
    ConfigurationType,
    ExchangeType,
    NotifyType,
    ProtocolId,
)
from ipsectest.ike import proposals
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import IkeSa
from ipsectest.peers.builtin_settings import Encapsulating
from ipsectest.peers.profile_settings import ADDRESS_OF
from ipsectest.scenario.ports import PeerSettings
from ipsectest.scenario.profile import Announcements, Profile
from ipsectest.wire import (
    CP,
    SA,
    ConfigurationAttribute,
    IDr,
    Message,
    Notify,
    Payload,
    Proposal,
    VendorID,
    parse_message,
)

_ANSWERS = frozenset({
    NotifyType.MOBIKE_SUPPORTED, NotifyType.IKEV2_FRAGMENTATION_SUPPORTED,
})  # fmt: skip
"""A responder says these only to who has said them (RFC 4555 section 3.1, RFC 7383 section 2.3)."""
_PREFIX_OF_HOST = b"\x80"


def policy_of(settings: Sequence[PeerSettings], profile: Profile | None = None) -> Policy | None:
    """The policy of our endpoint with these connections; None: that of a correct endpoint."""
    pools = {one.name: one.pool for one in settings if one.pool}
    in_udp = any(one.force_encapsulation for one in settings)
    if profile is None and not pools:
        return Encapsulating() if in_udp else None
    return SpeakingInUdp(profile, pools) if in_udp else Speaking(profile, pools)


class Speaking(Policy):
    """Says what a profile says; gives addresses of ``pools`` (connection -> address) to who asks for one."""

    def __init__(self, profile: Profile | None, pools: Mapping[str, str]) -> None:
        self._group = profile.ike.group if profile else 0
        self._says = profile.announces if profile else Announcements()
        self._pools = pools
        self._asked: dict[bytes, Message] = {}
        """IKE_AUTH requests that have no response yet, by SPIi."""

    def first_group(self, offered: Sequence[Proposal]) -> int:
        """The group that the profile names, if it is for an IKE SA."""
        is_ike = any(proposal.protocol == ProtocolId.IKE for proposal in offered)
        return self._group if is_ike and self._group in proposals.groups(offered) else super().first_group(offered)

    def incoming(self, sa: IkeSa | None, message: Message) -> Message | None:
        """Remember what an initiator asks for until it is answered; who knows no RFC 7427 hears nothing of it."""
        if message.exchange_type == ExchangeType.IKE_SA_INIT and not self._says.signature_hashes:
            _leave_out(message, NotifyType.SIGNATURE_HASH_ALGORITHMS)
        if sa is not None and message.exchange_type == ExchangeType.IKE_AUTH and not message.is_response:
            self._asked[sa.spi_i] = message
        return super().incoming(sa, message)

    def outgoing(self, sa: IkeSa | None, message: Message) -> Message | None:
        """The message with what the profile adds to it and without what it leaves out."""
        changed = super().outgoing(sa, message)
        if changed is None or sa is None:
            return changed
        if changed.exchange_type == ExchangeType.IKE_SA_INIT and changed.get(SA):
            self._dress_first(sa, changed)
        elif changed.exchange_type == ExchangeType.IKE_AUTH and changed.is_response:
            self._dress_response(sa, changed)
        elif changed.exchange_type == ExchangeType.IKE_AUTH:
            self._dress_request(changed)
        return changed

    def _dress_first(self, sa: IkeSa, message: Message) -> None:
        if not self._says.signature_hashes:
            _leave_out(message, NotifyType.SIGNATURE_HASH_ALGORITHMS)
        asked = parse_message(sa.init_request) if message.is_response else None
        message.payloads += self._notifies(self._says.ike_sa_init, asked)
        message.payloads += [VendorID(octets) for octets in self._says.vendor_ids]

    def _dress_request(self, message: Message) -> None:
        if not self._says.initial_contact:
            _leave_out(message, NotifyType.INITIAL_CONTACT)
        if not self._says.responder_identity:
            message.payloads = [payload for payload in message.payloads if not isinstance(payload, IDr)]
        if self._says.configuration:
            wanted = [ConfigurationAttribute(kind, b"") for kind in self._says.configuration]
            _put_before_sa(message, CP(ConfigurationType.CFG_REQUEST, wanted))
        message.payloads += self._notifies(self._says.ike_auth, None)

    def _dress_response(self, sa: IkeSa, message: Message) -> None:
        asked = self._asked.pop(sa.spi_i, None)
        given = self._pools.get(sa.connection.name, "")
        request = asked.get(CP) if asked else None
        if request and given and message.get(SA):
            address = ipaddress.ip_address(given)
            kind, data = ADDRESS_OF[address.version], address.packed
            if any(attribute.type == kind for attribute in request.attributes):
                data += _PREFIX_OF_HOST if address.version == 6 else b""  # RFC 7296 section 3.15.1: a prefix length
                _put_before_sa(message, CP(ConfigurationType.CFG_REPLY, [ConfigurationAttribute(kind, data)]))
        if message.get(SA):
            message.payloads += self._notifies(self._says.ike_auth, asked)

    def _notifies(self, types: Sequence[int], asked: Message | None) -> list[Payload]:
        """``asked``: the request that is answered."""
        return [Notify(one) for one in types if asked is None or one not in _ANSWERS or asked.notify(one)]


class SpeakingInUdp(Encapsulating, Speaking):
    """The same, and ESP is put into UDP always."""


def _leave_out(message: Message, notify_type: int) -> None:
    message.payloads = [
        payload
        for payload in message.payloads
        if not (isinstance(payload, Notify) and payload.notify_type == notify_type)
    ]


def _put_before_sa(message: Message, payload: Payload) -> None:
    """Where RFC 7296 section 2.19 has it; at the end of a message without a Child SA."""
    kinds = [isinstance(one, SA) for one in message.payloads]
    message.payloads.insert(kinds.index(True) if True in kinds else len(kinds), payload)
