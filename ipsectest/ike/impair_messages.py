"""Impairments that change outgoing messages; keys stay right, so that the exchange runs up to the damage."""

from collections.abc import Callable
from dataclasses import replace

from ipsectest.base.iana import ExchangeType, HashAlgorithm, HeaderFlag, KeyExchangeMethod, NotifyType, TransformType
from ipsectest.ike.create_child_sa import rekeys_child, rekeys_ike
from ipsectest.ike.impairment import Edit, Impairment
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import ZERO_SPI, IkeSa
from ipsectest.wire import (
    AUTH,
    CERT,
    KE,
    SA,
    Attribute,
    Delete,
    Message,
    Nonce,
    Notify,
    Payload,
    TrafficSelector,
    TrafficSelectors,
    Transform,
    TSi,
)

_INIT = ExchangeType.IKE_SA_INIT
_NAT = {NotifyType.NAT_DETECTION_SOURCE_IP, NotifyType.NAT_DETECTION_DESTINATION_IP}
_KEY_LENGTH_OF = {128: 256, 192: 128, 256: 128}


def _without(matches: Callable[[Payload], bool]) -> Edit:
    """An edit that leaves payloads out."""

    def edit(_: IkeSa | None, message: Message) -> None:
        message.payloads = [p for p in message.payloads if not matches(p)]

    return edit


def _set_critical(_: IkeSa | None, message: Message) -> None:
    for payload in message.payloads:
        payload.critical = True


def _set_reserved(_: IkeSa | None, message: Message) -> None:
    """Reserved bits wherever AUTH does not cover them; in the ID payload it would."""
    message.flags |= 0x01
    for payload in message.payloads:
        payload.reserved = 1
        if isinstance(payload, KE | AUTH | TrafficSelectors):
            payload.body_reserved = 1
        for proposal in payload.proposals if isinstance(payload, SA) else ():
            proposal.reserved = 1
            for transform in proposal.transforms:
                transform.reserved = transform.reserved2 = 1


def _set_wrong_flags(_: IkeSa | None, message: Message) -> None:
    message.flags = (message.flags ^ HeaderFlag.INITIATOR) | HeaderFlag.VERSION


def _set_minor(_: IkeSa | None, message: Message) -> None:
    message.minor = 1


def _reverse(_: IkeSa | None, message: Message) -> None:
    message.payloads = message.payloads[::-1]


def _spoil_auth(_: IkeSa | None, message: Message) -> None:
    """What a key that is one bit off yields: an AUTH that does not verify."""
    claim = message.get(AUTH)
    if claim is not None and claim.data:
        claim.data = claim.data[:-1] + bytes([claim.data[-1] ^ 1])


def _offer_sha1(_: IkeSa | None, message: Message) -> None:
    notify = message.notify(NotifyType.SIGNATURE_HASH_ALGORITHMS)
    if notify is not None:
        notify.data = HashAlgorithm.SHA1.to_bytes(2, "big") + notify.data


def _reverse_chain(_: IkeSa | None, message: Message) -> None:
    chain = list(message.all(CERT))
    places = [i for i, p in enumerate(message.payloads) if isinstance(p, CERT)]
    for place, certificate in zip(places, reversed(chain), strict=True):
        message.payloads[place] = certificate


def _cookie_last(_: IkeSa | None, message: Message) -> None:
    cookie = message.notify(NotifyType.COOKIE)
    if cookie is not None and not message.is_response:
        message.payloads = [*(p for p in message.payloads if p is not cookie), cookie]


def _cookie_with_other_nonce(sa: IkeSa | None, message: Message) -> None:
    nonce = message.get(Nonce)
    if sa is not None and nonce is not None and sa.cookie is not None and not message.is_response:
        sa.nonce_i = nonce.data = nonce.data[::-1]


def _only_named_group(sa: IkeSa | None, message: Message) -> None:
    """A second share means that the peer has named another group."""
    offered = message.get(SA)
    if sa is not None and offered and message.exchange_type == _INIT and sa.is_initiator and len(sa.shares) > 1:
        for proposal in offered.proposals:
            proposal.transforms = [t for t in proposal.transforms if t.type != TransformType.KE or t.id == sa.group]


def _dh_in_auth(_: IkeSa | None, message: Message) -> None:
    if message.exchange_type == ExchangeType.IKE_AUTH and not message.is_response:
        _add_transform(message, Transform(TransformType.KE, KeyExchangeMethod.CURVE25519))


def _dh_none(_: IkeSa | None, message: Message) -> None:
    if not message.is_response and rekeys_ike(message):
        _add_transform(message, Transform(TransformType.KE, KeyExchangeMethod.NONE))


def _add_transform(message: Message, transform: Transform) -> None:
    for offered in message.all(SA):
        for proposal in offered.proposals:
            proposal.transforms = [*proposal.transforms, transform]


def _number_from_two(_: IkeSa | None, message: Message) -> None:
    if not message.is_response:
        for offered in message.all(SA):
            for number, proposal in enumerate(offered.proposals, 2):
                proposal.number = number


def _end_port_zero(_: IkeSa | None, message: Message) -> None:
    for payload in message.payloads:
        if isinstance(payload, TrafficSelectors):
            payload.selectors = [
                replace(s, end_port=0) if isinstance(s, TrafficSelector) and s.start_port == 0 else s
                for s in payload.selectors
            ]


def _protocol_ike(_: IkeSa | None, message: Message) -> None:
    for notify in message.all(Notify):
        if not notify.spi:
            notify.protocol = 1


def _with_spi(_: IkeSa | None, message: Message) -> None:
    for notify in message.all(Notify):
        notify.spi = notify.spi or bytes(4)


def _rekey_sa_as_ike(_: IkeSa | None, message: Message) -> None:
    if (notify := message.notify(NotifyType.REKEY_SA)) is not None:
        notify.protocol = 1


def _rekey_sa_outbound(sa: IkeSa | None, message: Message) -> None:
    notify = message.notify(NotifyType.REKEY_SA)
    if sa is not None and notify is not None and notify.spi in sa.children:
        notify.spi = sa.children[notify.spi].spi_out


def _other_suite(_: IkeSa | None, message: Message) -> None:
    """Another key length, or AES-CBC for a cipher without one, in the offer of a Child SA rekey."""
    if message.is_response or not rekeys_child(message):
        return
    for offered in message.all(SA):
        for proposal in offered.proposals:
            for transform in proposal.transforms:
                if transform.type == TransformType.ENCR:
                    length = _KEY_LENGTH_OF.get(transform.key_length or 0)
                    transform.attributes = [Attribute(14, length)] if length else transform.attributes


def _one_host(_: IkeSa | None, message: Message) -> None:
    if not message.is_response and rekeys_child(message):
        for payload in message.all(TSi):
            first = payload.selectors[0]
            payload.selectors = [replace(first, end=first.start)] if isinstance(first, TrafficSelector) else [first]


def _ike_rekey_without_ke(_: IkeSa | None, message: Message) -> None:
    if not message.is_response and rekeys_ike(message):
        message.payloads = [p for p in message.payloads if not isinstance(p, KE)]


def _long_delete_spis(_: IkeSa | None, message: Message) -> None:
    for delete in message.all(Delete):
        delete.spis = [spi + bytes(4) for spi in delete.spis]


def _outbound_delete_spis(sa: IkeSa | None, message: Message) -> None:
    if sa is None or message.is_response:
        return
    for delete in message.all(Delete):
        delete.spis = [sa.children[spi].spi_out if spi in sa.children else spi for spi in delete.spis]


def _is_nat_detection(payload: Payload) -> bool:
    return isinstance(payload, Notify) and payload.notify_type in _NAT


def _is_rekey_sa(payload: Payload) -> bool:
    return isinstance(payload, Notify) and payload.notify_type == NotifyType.REKEY_SA


class _ReusesResponderSpi(Policy):
    """Repeats IKE_SA_INIT with the SPIr of the answer that asked for the repetition."""

    last_spi = ZERO_SPI

    def incoming(self, sa: IkeSa | None, message: Message) -> Message | None:
        if message.exchange_type == _INIT and message.is_response:
            self.last_spi = message.responder_spi
        return super().incoming(sa, message)

    def outgoing(self, sa: IkeSa | None, message: Message) -> Message | None:
        if message.exchange_type == _INIT and not message.is_response:
            message.responder_spi = self.last_spi
        return super().outgoing(sa, message)


MESSAGES: tuple[Impairment, ...] = (
    Impairment("sends-critical-bit", "every payload is critical", edits=_set_critical),
    Impairment("sends-reserved-bits", "reserved bits are set", edits=_set_reserved),
    Impairment("sends-wrong-flags", "I is inverted, V is set", edits=_set_wrong_flags),
    Impairment("sends-minor-version", "minor version 1", edits=_set_minor),
    Impairment("sends-unordered", "payloads in reverse order", edits=_reverse),
    Impairment("omits-nat-detection", "no NAT_DETECTION notifies", edits=_without(_is_nat_detection)),
    Impairment("auth-over-wrong-key", "AUTH is made with a key one bit off", edits=_spoil_auth),
    Impairment("offers-sha1-hash", "SHA-1 is announced for signatures", edits=_offer_sha1),
    Impairment("omits-cert", "no CERT payload", edits=_without(lambda p: isinstance(p, CERT))),
    Impairment("cert-chain-reversed", "the end-entity certificate comes last", edits=_reverse_chain),
    Impairment("cookie-not-first", "COOKIE is the last payload", edits=_cookie_last),
    Impairment("cookie-changes-nonce", "the repetition with COOKIE has another nonce", edits=_cookie_with_other_nonce),
    Impairment("narrows-offer-after-invalid-ke", "the repetition offers one group", edits=_only_named_group),
    Impairment("reuses-responder-spi", "the repetition has the SPIr of the answer", mixin=_ReusesResponderSpi),
    Impairment("sends-dh-in-auth", "the Child SA offer in IKE_AUTH has a group", edits=_dh_in_auth),
    Impairment("proposal-numbers-from-two", "proposals are numbered from 2", edits=_number_from_two),
    Impairment("ts-port-zero-end", "any port is sent as ports 0 to 0", edits=_end_port_zero),
    Impairment("notify-protocol-ike", "notifies without SPI have protocol 1", edits=_protocol_ike),
    Impairment("notify-with-spi", "every notify has an SPI", edits=_with_spi),
    Impairment("rekeys-without-rekey-sa", "a rekey lacks REKEY_SA", edits=_without(_is_rekey_sa)),
    Impairment("rekey-sa-as-ike", "REKEY_SA has protocol 1", edits=_rekey_sa_as_ike),
    Impairment("rekey-sa-wrong-spi", "REKEY_SA has the outbound SPI", edits=_rekey_sa_outbound),
    Impairment("rekey-changes-suite", "a Child SA rekey offers another suite", edits=_other_suite),
    Impairment("rekey-narrows-ts", "a Child SA rekey offers one host", edits=_one_host),
    Impairment("ike-rekey-without-ke", "an IKE SA rekey lacks KE", edits=_ike_rekey_without_ke),
    Impairment("ike-rekey-offers-dh-none", "an IKE SA rekey offers KE method NONE", edits=_dh_none),
    Impairment("delete-spi-size-8", "Delete has SPIs of 8 octets", edits=_long_delete_spis),
    Impairment("deletes-outbound-spi", "Delete names the peer's SPIs", edits=_outbound_delete_spis),
)
"""Faults of composing."""
