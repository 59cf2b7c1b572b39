"""Impairments that refuse what must be accepted."""

from collections.abc import Sequence

from ipsectest.base.addresses import Address
from ipsectest.base.iana import (
    ExchangeType,
    HashAlgorithm,
    IdentificationType,
    IntegrityAlgorithm,
    KeyExchangeMethod,
    NotifyType,
    PayloadType,
    TransformType,
)
from ipsectest.crypto import signature, supported
from ipsectest.crypto.certificates import authority_hash, parse_certificate
from ipsectest.ike.config import ConnectionConfig, EndpointConfig, Suite, TrustAnchors
from ipsectest.ike.impairment import Impairment
from ipsectest.ike.policy import Policy
from ipsectest.ike.proposals import Chosen
from ipsectest.ike.sa import IkeSa
from ipsectest.ike.unsealed import Unsealed
from ipsectest.wire import (
    AUTH,
    CERTREQ,
    CP,
    KE,
    LAYOUTS,
    AnomalyCode,
    Message,
    Nonce,
    Notify,
    OtherTrafficSelector,
    Payload,
    Proposal,
    TSi,
    TSr,
    UnknownPayload,
    VendorID,
)

_RESERVED = {AnomalyCode.RESERVED_SET, AnomalyCode.VERSION_FLAG}
_ORDER = (
    PayloadType.IDi, PayloadType.IDr, PayloadType.CERT, PayloadType.CERTREQ, PayloadType.AUTH, PayloadType.SA,
    PayloadType.NONCE, PayloadType.KE, PayloadType.TSi, PayloadType.TSr,
)  # fmt: skip
_INIT_ORDER = (PayloadType.SA, PayloadType.KE, PayloadType.NONCE, PayloadType.CERTREQ)
_REQUEST_ORDER = (PayloadType.IDi, PayloadType.CERT, PayloadType.CERTREQ, PayloadType.IDr, *_ORDER[4:])


def _has_reserved(_: IkeSa | None, message: Message) -> bool:
    return any(anomaly.code in _RESERVED for anomaly in message.anomalies)


def _is_unordered(_: IkeSa | None, message: Message) -> bool:
    """Against the order of the figures in RFC 7296 sections 1.2 and 1.3; notifies and vendor ids may stand anywhere."""
    order = _INIT_ORDER if message.exchange_type == ExchangeType.IKE_SA_INIT else _REQUEST_ORDER
    places = [order.index(p.type) for p in message.payloads if p.type in order]
    return places != sorted(places)


def _has_unknown_payload(_: IkeSa | None, message: Message) -> bool:
    return any(isinstance(p, UnknownPayload) and p.type not in LAYOUTS for p in message.payloads)


def _has_unknown_notify(_: IkeSa | None, message: Message) -> bool:
    return any(n.notify_type not in set(NotifyType) for n in message.all(Notify))


def _has_vendor_id(_: IkeSa | None, message: Message) -> bool:
    return message.get(VendorID) is not None


def _has_odd_nonce(_: IkeSa | None, message: Message) -> bool:
    return any(len(nonce.data) != 32 for nonce in message.all(Nonce))


def _has_cookie(_: IkeSa | None, message: Message) -> bool:
    return not message.is_response and message.notify(NotifyType.COOKIE) is not None


def _has_two_sources(_: IkeSa | None, message: Message) -> bool:
    source = NotifyType.NAT_DETECTION_SOURCE_IP
    return sum(n.notify_type == source for n in message.all(Notify)) > 1


def _has_top_bit(_: IkeSa | None, message: Message) -> bool:
    return any(k.group == KeyExchangeMethod.CURVE25519 and k.data[-1:] > b"\x7f" for k in message.all(KE))


def _is_blocked(sa: IkeSa | None, message: Message) -> bool:
    return sa is not None and not message.is_response and bool(sa.outstanding)


def _is_second_auth(sa: IkeSa | None, message: Message) -> bool:
    is_request = message.exchange_type == ExchangeType.IKE_AUTH and not message.is_response
    return sa is not None and is_request and sa.remote_identity is not None


class _NotifyProtocol(Policy):
    def incoming(self, sa: IkeSa | None, message: Message) -> Message | None:
        message.payloads = [p for p in message.payloads if not (isinstance(p, Notify) and p.protocol and not p.spi)]
        return super().incoming(sa, message)


class _UnknownSelectors(Policy):
    """A selector of an unknown type makes all of them unacceptable."""

    def incoming(self, sa: IkeSa | None, message: Message) -> Message | None:
        for selectors in (message.get(TSi), message.get(TSr)):
            if selectors and any(isinstance(s, OtherTrafficSelector) for s in selectors.selectors):
                selectors.selectors = []
        return super().incoming(sa, message)


class _UnknownHash(Policy):
    """An unknown hash makes SIGNATURE_HASH_ALGORITHMS count for nothing."""

    def incoming(self, sa: IkeSa | None, message: Message) -> Message | None:
        notify = message.notify(NotifyType.SIGNATURE_HASH_ALGORITHMS)
        if notify is not None:
            ids = {int.from_bytes(notify.data[i : i + 2], "big") for i in range(0, len(notify.data), 2)}
            if not ids <= set(HashAlgorithm):
                message.payloads.remove(notify)
        return super().incoming(sa, message)


class _CriticalOnKnown(Policy):
    def fault(self, sa: IkeSa, request: Message) -> Notify | None:
        known = [p for p in request.payloads if p.critical and p.type in LAYOUTS]
        if known:
            return Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes([known[0].type]))
        return super().fault(sa, request)


class _NoPss(Policy):
    def fault(self, sa: IkeSa, request: Message) -> Notify | None:
        claim = request.get(AUTH)
        try:
            if claim is not None and claim.method == 14 and signature.scheme_of(claim.data).kind == "pss":
                return Notify(NotifyType.AUTHENTICATION_FAILED)
        except ValueError:
            pass
        return super().fault(sa, request)


class _NoUnknownAuthority(Policy):
    def fault(self, sa: IkeSa, request: Message) -> Notify | None:
        credential = sa.connection.remote_auth
        anchors = credential.certificates if isinstance(credential, TrustAnchors) else ()
        ours = {authority_hash(parse_certificate(der)) for der in anchors}
        asked = b"".join(c.data for c in request.all(CERTREQ))
        if not {asked[i : i + 20] for i in range(0, len(asked), 20)} <= ours:
            return Notify(NotifyType.AUTHENTICATION_FAILED)
        return super().fault(sa, request)


class _NoConfigurationQuery(Policy):
    def fault(self, sa: IkeSa, request: Message) -> Notify | None:
        if request.exchange_type == ExchangeType.INFORMATIONAL and request.get(CP) is not None:
            return Notify(NotifyType.INVALID_SYNTAX)
        return super().fault(sa, request)


class _BusyWithOwnRekey(Policy):
    """Nothing is granted while a rekey of ours is under way."""

    def fault(self, sa: IkeSa, request: Message) -> Notify | None:
        if sa.outstanding and request.exchange_type == ExchangeType.CREATE_CHILD_SA:
            return Notify(NotifyType.TEMPORARY_FAILURE)
        return super().fault(sa, request)

    def answer_deletes(self, sa: IkeSa, request: Message, paired: Sequence[object]) -> list[tuple[int, bytes]]:
        return [] if sa.outstanding else super().answer_deletes(sa, request, paired)  # type: ignore[arg-type]


class _Only(Policy):
    id_type = IdentificationType.ID_IPV4_ADDR

    def connection_of(self, config: EndpointConfig, sa: IkeSa, request: Message) -> ConnectionConfig | None:
        if sa.remote_identity is None or sa.remote_identity.type != self.id_type:
            return None
        return super().connection_of(config, sa, request)


class _OnlyIpv6(_Only):
    id_type = IdentificationType.ID_IPV6_ADDR


class _OnlyKnownTransforms(Policy):
    """A transform without code makes its proposal unacceptable."""

    def choose(
        self, offered: Sequence[Proposal], wanted: Sequence[Suite], protocol: int, spi_size: int
    ) -> Chosen | None:
        known = [p for p in offered if all(map(supported, p.specs))]
        return super().choose(known, wanted, protocol, spi_size)


class _NoIntegNone(Policy):
    def choose(
        self, offered: Sequence[Proposal], wanted: Sequence[Suite], protocol: int, spi_size: int
    ) -> Chosen | None:
        none = (TransformType.INTEG, IntegrityAlgorithm.NONE)
        usable = [p for p in offered if none not in {(t.type, t.id) for t in p.transforms}]
        return super().choose(usable, wanted, protocol, spi_size)


class _OnlyPort500(Policy):
    def connection_for(self, config: EndpointConfig, local: Address, remote: Address) -> ConnectionConfig | None:
        return super().connection_for(config, local, remote) if remote.port in {500, 4500} else None


class _ShortPadding(Policy):
    def opened(self, unsealed: Unsealed) -> bool:
        return unsealed.plaintext[-1:] <= b"\x0f" and super().opened(unsealed)


class _NoZeroIv(Policy):
    def opened(self, unsealed: Unsealed) -> bool:
        return any(unsealed.iv) and super().opened(unsealed)


def _protected_silence(exchange_type: int) -> type[Policy]:
    class Silent(Policy):
        def outgoing(self, sa: IkeSa | None, message: Message) -> Message | None:
            if message.is_response and message.exchange_type == exchange_type:
                return None
            return super().outgoing(sa, message)

    return Silent


def _is_error(payload: Payload) -> bool:
    return isinstance(payload, Notify) and payload.notify_type < NotifyType.INITIAL_CONTACT


class _NoErrors(Policy):
    def outgoing(self, sa: IkeSa | None, message: Message) -> Message | None:
        if message.is_response and any(map(_is_error, message.payloads)):
            return None
        return super().outgoing(sa, message)


REFUSALS: tuple[Impairment, ...] = (
    Impairment("rejects-minor-version", "minor version above 0 is dropped", refuses=lambda _, m: m.minor != 0),
    Impairment("rejects-reserved-bits", "reserved bits that are set are not tolerated", refuses=_has_reserved),
    Impairment("rejects-unknown-payloads", "unknown payloads are not tolerated", refuses=_has_unknown_payload),
    Impairment("rejects-critical-on-known", "the critical bit on a known payload is refused", mixin=_CriticalOnKnown),
    Impairment("requires-payload-order", "payloads must stand as in the figures", refuses=_is_unordered),
    Impairment("rejects-unknown-notify", "unknown notifies are not tolerated", refuses=_has_unknown_notify),
    Impairment("rejects-vendor-ids", "Vendor IDs are not tolerated", refuses=_has_vendor_id),
    Impairment("rejects-unknown-transforms", "an unknown transform spoils its proposal", mixin=_OnlyKnownTransforms),
    Impairment("rejects-integ-none", "INTEG NONE spoils its proposal", mixin=_NoIntegNone),
    Impairment("requires-nonce-of-32", "nonces must have 32 octets", refuses=_has_odd_nonce),
    Impairment("rejects-long-messages", "more than 1200 octets are dropped", refuses=lambda _, m: len(m.raw) > 1200),
    Impairment("requires-port-500", "peers on other ports than 500 and 4500 are ignored", mixin=_OnlyPort500),
    Impairment("rejects-unsolicited-cookie", "a COOKIE is not tolerated", refuses=_has_cookie),
    Impairment("rejects-notify-protocol", "notifies without SPI count only with protocol 0", mixin=_NotifyProtocol),
    Impairment("rejects-second-nat-source", "one NAT_DETECTION_SOURCE_IP at most", refuses=_has_two_sources),
    Impairment("rejects-long-sk-padding", "more than 15 octets of padding are dropped", mixin=_ShortPadding),
    Impairment("rejects-zero-iv", "an IV of zeros is dropped", mixin=_NoZeroIv),
    Impairment("only-ipv4-id", "identities must be ID_IPV4_ADDR", mixin=_Only),
    Impairment("only-ipv6-id", "identities must be ID_IPV6_ADDR", mixin=_OnlyIpv6),
    Impairment("rejects-top-bit", "X25519 values with the top bit set are dropped", refuses=_has_top_bit),
    Impairment("rejects-pss", "RSASSA-PSS does not authenticate", mixin=_NoPss),
    Impairment("rejects-unknown-certreq", "every requested authority must be ours", mixin=_NoUnknownAuthority),
    Impairment("rejects-unknown-hash", "an unknown hash spoils the announcement", mixin=_UnknownHash),
    Impairment("rejects-unknown-ts", "an unknown selector type spoils all selectors", mixin=_UnknownSelectors),
    Impairment("blocks-while-waiting", "requests are ignored while one of ours waits", refuses=_is_blocked),
    Impairment("silent-on-second-ike-auth", "a second IKE_AUTH is ignored", refuses=_is_second_auth),
    Impairment("refuses-during-own-rekey", "nothing is granted during a rekey of ours", mixin=_BusyWithOwnRekey),
    Impairment("error-on-config-query", "CP in INFORMATIONAL is INVALID_SYNTAX", mixin=_NoConfigurationQuery),
    Impairment(
        "never-answers-informational", "INFORMATIONAL is obeyed, not answered",
        mixin=_protected_silence(ExchangeType.INFORMATIONAL),
    ),
    Impairment("never-answers-errors", "no response carries an error", mixin=_NoErrors),
)  # fmt: skip
"""Faults of refusal and silence."""
