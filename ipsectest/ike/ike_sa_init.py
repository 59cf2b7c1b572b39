"""IKE_SA_INIT (RFC 7296 section 1.2): suites, key exchange, nonces, NAT detection; nothing here is protected yet.

Request: SA KE Ni N(NAT_DETECTION_*) N(SIGNATURE_HASH_ALGORITHMS), repeated with N(COOKIE) in front or another KE.
Response: SA KE Nr N(...) [N(CHILDLESS_IKEV2_SUPPORTED)], or one error notify and a zero SPIr.
Message ID 0, repeated requests too.
"""

from dataclasses import replace
from struct import unpack_from

from ipsectest.base.iana import CertificateEncoding, HashAlgorithm, NotifyType, ProtocolId
from ipsectest.crypto.certificates import authority_hash, parse_certificate
from ipsectest.ike import auth, cookies, keys, messages, nat, proposals
from ipsectest.ike.agreement import finish, respond, share_for
from ipsectest.ike.checks import Check
from ipsectest.ike.config import Childless, TrustAnchors
from ipsectest.ike.context import Context, Outcome, Verdict
from ipsectest.ike.sa import ZERO_SPI, IkeSa
from ipsectest.wire import CERTREQ, KE, SA, Message, Nonce, Notify, Payload, Proposal

HASHES = (HashAlgorithm.SHA2_256, HashAlgorithm.SHA2_384, HashAlgorithm.SHA2_512, HashAlgorithm.IDENTITY)
"""What we announce (RFC 7427 section 4, RFC 8420); SHA-1 is left out after RFC 8247 section 3.2.1."""
_HASH_NUMBERS = b"".join(number.to_bytes(2, "big") for number in HASHES)
MIN_NONCE, MAX_NONCE = 16, 256


def compose_request(sa: IkeSa, ctx: Context) -> list[Payload]:
    """SA KE Ni and notifies; a repetition keeps SPIi, Ni and, after a COOKIE, the rest (RFC 7296 section 2.6)."""
    over = ctx.overrides
    sa.spi_i = over.spi or sa.spi_i
    sa.offered = offered(sa, ctx, b"")
    sa.group = over.group or sa.group or ctx.policy.first_group(sa.offered)
    share = share_for(sa.shares, sa.group, ctx.random)
    sa.nonce_i = over.nonce or sa.nonce_i or ctx.policy.nonce(ctx.random)
    cookie = over.cookie if over.cookie is not None else sa.cookie
    public = over.public_value if over.public_value is not None else share.public
    payloads: list[Payload] = [] if cookie is None else [Notify(NotifyType.COOKIE, cookie)]
    payloads += [SA(sa.offered), KE(sa.group, public), Nonce(sa.nonce_i)]
    return payloads + _extras(sa)


def _extras(sa: IkeSa) -> list[Payload]:
    return [*nat.notifies(sa), Notify(NotifyType.SIGNATURE_HASH_ALGORITHMS, _HASH_NUMBERS)]


def offered(sa: IkeSa, ctx: Context, spi: bytes) -> list[Proposal]:
    """The proposals for an IKE SA: overridden, or those of the connection."""
    over = ctx.overrides
    if over.proposals is not None:
        return [replace(p, spi=p.spi or spi) for p in over.proposals]
    return proposals.offer(over.suites or sa.connection.proposals, ProtocolId.IKE, spi)


def read_request(sa: IkeSa, message: Message, ctx: Context) -> Verdict:
    """Responder: choose a suite and agree on a secret; a refusal names the notify due (RFC 7296 section 1.2)."""
    sa.next_expected_id = 1
    sa_payload, ke, nonce = message.get(SA), message.get(KE), message.get(Nonce)
    if (notify := messages.fault(sa, message, ctx)) is not None:
        return Verdict(Outcome.REFUSED, notify, "malformed IKE_SA_INIT request")
    if sa_payload is None or ke is None or nonce is None or not nonce_fits(nonce, ctx):
        return Verdict(Outcome.REFUSED, Notify(NotifyType.INVALID_SYNTAX), "SA, KE or a proper Ni is missing")
    sa.offered = sa_payload.proposals
    sa.chosen = ctx.policy.choose(sa.offered, sa.connection.proposals, ProtocolId.IKE, 0)
    if sa.chosen is None:
        return Verdict(Outcome.REFUSED, Notify(NotifyType.NO_PROPOSAL_CHOSEN), "no acceptable suite")
    sa.group = sa.chosen.group
    if ke.group != sa.group and ctx.policy.checks(Check.KE_GROUP):
        named = Notify(NotifyType.INVALID_KE_PAYLOAD, sa.group.to_bytes(2, "big"))
        return Verdict(Outcome.REFUSED, named, f"KE of group {ke.group}, {sa.group} is chosen")
    agreed = respond(sa.group, ke.data, ctx)
    if agreed is None:
        return Verdict(Outcome.REFUSED, Notify(NotifyType.INVALID_SYNTAX), "bad public value")
    sa.public_value, sa.shared_secret = agreed
    sa.nonce_i = nonce.data
    nat.detect(sa, message)
    sa.peer_hashes = announced_hashes(message)
    return Verdict()


def compose_response(sa: IkeSa, message: Message, verdict: Verdict, ctx: Context) -> list[Payload]:
    """Responder: the choice and our half of the keys, or the error notify alone.

    SPIr is taken here, so that it stays zero beside an error (RFC 7296 section 2.6); afterwards ``sa.keys`` are there.
    """
    del message
    if not verdict.ok or sa.chosen is None:
        return [verdict.notify] if verdict.notify else []
    over = ctx.overrides
    sa.spi_r = over.spi or (sa.spi_r if sa.spi_r != ZERO_SPI else ctx.random(8))
    sa.nonce_r = over.nonce or ctx.policy.nonce(ctx.random)
    answered = chosen_answer(sa, ctx, b"")
    keys.derive_first(sa)
    group, public = answered_ke(sa.group, sa.public_value, ctx)
    extras = [*_extras(sa), *_childless(sa), *certificate_requests(sa)]
    return [answered, KE(group, public), Nonce(sa.nonce_r), *extras]


def _childless(sa: IkeSa) -> list[Payload]:
    """Whether the initiator may leave the Child SA out of IKE_AUTH (RFC 6023 section 3).

    Its section 4 has Protocol ID 1, RFC 7296 section 3.10 has zero for every notify without SPI; receivers ignore it.
    """
    sa.may_be_childless = sa.connection.childless is not Childless.NEVER
    return [Notify(NotifyType.CHILDLESS_IKEV2_SUPPORTED)] if sa.may_be_childless else []


def chosen_answer(sa: IkeSa, ctx: Context, spi: bytes) -> SA:
    """The SA payload of a response; an override changes what is chosen, as far as it can be carried out."""
    over = ctx.overrides
    if over.suites or over.proposals is not None:
        answered = SA(offered(sa, ctx, spi))
        sa.chosen = proposals.overridden(sa.chosen, answered)
        return answered
    if sa.chosen is None:
        raise LookupError("nothing has been chosen")
    return proposals.answer(sa.chosen, spi)


def answered_ke(group: int, public: bytes, ctx: Context) -> tuple[int, bytes]:
    """Group and octets of KEr, with overrides that are only shown, not computed with."""
    over = ctx.overrides
    if over.group is not None and over.group != group:
        group, public = over.group, share_for({}, over.group, ctx.random).public
    return group, public if over.public_value is None else over.public_value


def certificate_requests(sa: IkeSa) -> list[Payload]:
    """CERTREQ with the hashes of our trust anchors' keys (RFC 7296 section 3.7), none without anchors."""
    if not isinstance(sa.connection.remote_auth, TrustAnchors):
        return []
    hashes = b"".join(authority_hash(parse_certificate(der)) for der in sa.connection.remote_auth.certificates)
    return [CERTREQ(CertificateEncoding.X509_SIGNATURE, hashes)]


def read_response(sa: IkeSa, message: Message, ctx: Context) -> Verdict:
    """Initiator: keys, or what to change in the repetition.

    Nothing protects this message, so what cannot be used is DROPPED: the true response may still come
    (RFC 7296 section 2.21.1).
    """
    error = messages.first_error(message)
    if (cookie := message.notify(NotifyType.COOKIE)) is not None and message.get(SA) is None:
        if not cookies.is_valid(cookie.data):
            return Verdict(Outcome.DROPPED, cookie, "COOKIE of a forbidden length")
        sa.cookie = cookie.data
        return Verdict(Outcome.RETRY, cookie, "cookie demanded")
    if error is not None and (message.get(SA) is None or ctx.policy.checks(Check.ERROR_FIRST)):
        return _read_error(sa, error)
    sa.may_be_childless = message.notify(NotifyType.CHILDLESS_IKEV2_SUPPORTED) is not None
    if sa.connection.starts_childless and not sa.may_be_childless and ctx.policy.checks(Check.CHILDLESS):
        return Verdict(Outcome.DROPPED, None, "the peer does not announce childless IKE SAs")
    if (reason := _take(sa, message, ctx)) != "":
        return Verdict(Outcome.DROPPED, None, reason)
    sa.spi_r = message.responder_spi
    sa.next_request_id = 1
    nat.detect(sa, message)
    sa.peer_hashes = announced_hashes(message)
    sa.requested_authorities = auth.requested_authorities(message)
    keys.derive_first(sa)
    return Verdict()


def _take(sa: IkeSa, message: Message, ctx: Context) -> str:
    """Suite, secret and nonce out of a response; why they cannot be used, "" if they can."""
    sa_payload, ke, nonce = message.get(SA), message.get(KE), message.get(Nonce)
    if messages.is_malformed(message, ctx) or sa_payload is None or ke is None or nonce is None:
        return "malformed IKE_SA_INIT response"
    if message.responder_spi == ZERO_SPI or not nonce_fits(nonce, ctx):
        return "SPIr or Nr is not usable"
    chosen = ctx.policy.accept(sa.offered, sa_payload, 0)
    if chosen is None or (ke.group != chosen.group and ctx.policy.checks(Check.KE_GROUP)):
        return "the answered suite was not offered"
    group = ke.group if ctx.policy.checks(Check.KE_GROUP) else chosen.group
    secret = finish(sa.shares.get(group), ke.data, ctx)
    if secret is None:
        return "bad public value"
    sa.chosen, sa.shared_secret, sa.nonce_r = chosen, secret, nonce.data
    return ""


def _read_error(sa: IkeSa, error: Notify) -> Verdict:
    if error.notify_type != NotifyType.INVALID_KE_PAYLOAD:
        return Verdict(Outcome.DROPPED, error, "unprotected error notify")
    group = int.from_bytes(error.data, "big")
    if len(error.data) != 2 or group == sa.group or group not in proposals.groups(sa.offered):
        return Verdict(Outcome.DROPPED, error, "INVALID_KE_PAYLOAD names a group that was not offered")
    sa.group = group
    return Verdict(Outcome.RETRY, error, f"group {group} demanded")


def nonce_fits(nonce: Nonce, ctx: Context) -> bool:
    """16 to 256 octets (RFC 7296 section 3.9)."""
    return MIN_NONCE <= len(nonce.data) <= MAX_NONCE or not ctx.policy.checks(Check.NONCE_LENGTH)


def announced_hashes(message: Message) -> tuple[int, ...]:
    """The peer's SIGNATURE_HASH_ALGORITHMS (RFC 7427 section 4)."""
    notify = message.notify(NotifyType.SIGNATURE_HASH_ALGORITHMS)
    data = notify.data if notify else b""
    return unpack_from(f"!{len(data) // 2}H", data)
