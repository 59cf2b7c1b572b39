"""Impairments that leave a validation out: the endpoint accepts what it must refuse."""

from collections.abc import Sequence
from dataclasses import replace

from ipsectest.base.iana import KeyExchangeMethod, NotifyType, ProtocolId, PseudorandomFunction, TransformType
from ipsectest.base.suites import TransformSpec
from ipsectest.crypto import supported
from ipsectest.ike import proposals
from ipsectest.ike.checks import Check
from ipsectest.ike.config import Suite
from ipsectest.ike.impairment import Impairment
from ipsectest.ike.policy import Policy
from ipsectest.ike.proposals import Chosen
from ipsectest.ike.sa import IkeSa
from ipsectest.wire import SA, Delete, IDi, IDr, Message, Notify, Proposal, Transform

_ENCR, _INTEG, _KE = TransformType.ENCR, TransformType.INTEG, TransformType.KE


class _AnyProposal(Policy):
    """Takes the first proposal, and of each type the first transform there is code for."""

    def choose(
        self, offered: Sequence[Proposal], wanted: Sequence[Suite], protocol: int, spi_size: int
    ) -> Chosen | None:
        healthy = super().choose(offered, wanted, protocol, spi_size)
        if not offered or not wanted:
            return healthy
        first = offered[0]
        shown = [_first(first, kind) for kind in dict.fromkeys(t.type for t in first.transforms)]
        return Chosen(first.number, protocol, _sized(first.spi, spi_size), _computable(shown, wanted[0]), tuple(shown))

    def accept(self, offered: Sequence[Proposal], answered: SA, spi_size: int) -> Chosen | None:
        healthy = super().accept(offered, answered, spi_size)
        if healthy is not None or not answered.proposals or not offered:
            return healthy
        got = answered.proposals[0]
        return Chosen(got.number, got.protocol, _sized(got.spi, spi_size), _computable(got.specs, offered[0].specs))


def _first(proposal: Proposal, kind: int) -> TransformSpec:
    specs = [spec for spec in proposal.specs if spec.type == kind]
    return next(filter(supported, specs), specs[0])


def _sized(spi: bytes, size: int) -> bytes:
    return spi.ljust(size, b"\0")[:size]


def _computable(shown: Sequence[TransformSpec], fallback: Sequence[TransformSpec]) -> Suite:
    """One transform for each type that keys need: from ``shown`` where there is code for it."""
    usable = {spec.type: spec for spec in reversed(shown) if supported(spec)}
    for spec in fallback:
        if supported(spec) and spec.type not in usable:
            usable[spec.type] = spec
    usable.setdefault(TransformType.PRF, TransformSpec(TransformType.PRF, PseudorandomFunction.PRF_HMAC_SHA2_256))
    return tuple(usable.values())


class _AesWithoutKeyLength(Policy):
    """Takes AES without Key Length as AES with 128 bits and answers it as it came."""

    def choose(
        self, offered: Sequence[Proposal], wanted: Sequence[Suite], protocol: int, spi_size: int
    ) -> Chosen | None:
        bare = {spec for p in offered for spec in p.specs if spec.type == _ENCR and not supported(spec)}
        filled = [replace(p, transforms=[_filled(t, bare) for t in p.transforms]) for p in offered]
        chosen = super().choose(filled, wanted, protocol, spi_size)
        if chosen is None:
            return None
        stripped = (replace(s, key_length=None) for s in chosen.transforms)
        shown = tuple(b if b in bare else s for s, b in zip(chosen.transforms, stripped, strict=True))
        return replace(chosen, shown=shown)


def _filled(transform: Transform, bare: set[TransformSpec]) -> Transform:
    return Transform.of(replace(transform.spec, key_length=128)) if transform.spec in bare else transform


class _AeadWithIntegrity(Policy):
    """Wants whatever integrity algorithms are offered, besides its AEAD."""

    def choose(
        self, offered: Sequence[Proposal], wanted: Sequence[Suite], protocol: int, spi_size: int
    ) -> Chosen | None:
        extra = tuple(dict.fromkeys(s for p in offered for s in p.specs if s.type == _INTEG))
        both = [(*suite, *(spec for spec in extra if spec not in suite)) for suite in wanted]
        return super().choose(offered, both, protocol, spi_size)


class _RekeyWithoutKe(Policy):
    """Rekeys an IKE SA also where no group is offered."""

    def choose(
        self, offered: Sequence[Proposal], wanted: Sequence[Suite], protocol: int, spi_size: int
    ) -> Chosen | None:
        chosen = super().choose(offered, wanted, protocol, spi_size)
        if chosen is not None or protocol != ProtocolId.IKE or not spi_size:
            return chosen
        none = TransformSpec(_KE, KeyExchangeMethod.NONE)
        bare = [(*(spec for spec in suite if spec.type != _KE), none) for suite in wanted]
        return proposals.choose(offered, bare, protocol, spi_size, self.checks)


class _AnySpiSize(Policy):
    """Makes 4 octets of every SPI of a Child SA."""

    def choose(
        self, offered: Sequence[Proposal], wanted: Sequence[Suite], protocol: int, spi_size: int
    ) -> Chosen | None:
        if spi_size == 4:
            offered = [replace(p, spi=_sized(p.spi, 4)) for p in offered]
        return super().choose(offered, wanted, protocol, spi_size)

    def incoming(self, sa: IkeSa | None, message: Message) -> Message | None:
        for delete in message.all(Delete):
            delete.spis = [_sized(spi, 4) for spi in delete.spis]
        return super().incoming(sa, message)


class _IdReservedUnsigned(Policy):
    """Verifies AUTH as if the reserved octets of the ID payload had been zero."""

    def incoming(self, sa: IkeSa | None, message: Message) -> Message | None:
        for kind in (IDi, IDr):
            for identification in message.all(kind):
                identification.body_reserved = 0
        return super().incoming(sa, message)


class _TrustsInvalidIkeSpi(Policy):
    def believes(self, notify: Notify, *, awaited: bool) -> bool:
        return notify.notify_type == NotifyType.INVALID_IKE_SPI or super().believes(notify, awaited=awaited)


class _TrustsUnprotectedErrors(Policy):
    def believes(self, notify: Notify, *, awaited: bool) -> bool:
        return awaited or super().believes(notify, awaited=awaited)


VALIDATION: tuple[Impairment, ...] = (
    Impairment("accepts-any-auth", "AUTH is not verified", (Check.AUTH,)),
    Impairment("keeps-unverified-sa", "a wrong AUTH of the responder is not noticed", (Check.AUTH,)),
    Impairment("ignores-peer-id", "any identity may use the connection", (Check.PEER_IDENTITY,)),
    Impairment("accepts-any-proposal", "the first proposal, or any answer, is taken", mixin=_AnyProposal),
    Impairment(
        "ignores-unknown-transform-type", "an unknown transform type does no harm to its proposal",
        (Check.TRANSFORM_TYPE,),
    ),
    Impairment(
        "ignores-unknown-transform-attribute", "an unknown attribute does no harm to its transform",
        (Check.TRANSFORM_ATTRIBUTE,),
    ),
    Impairment("accepts-aes-without-key-length", "AES without Key Length has 128 bits", mixin=_AesWithoutKeyLength),
    Impairment(
        "accepts-aead-with-integrity", "an AEAD and an integrity algorithm are taken together",
        (Check.AEAD_INTEGRITY,), mixin=_AeadWithIntegrity,
    ),
    Impairment("accepts-any-spi-size", "SPIs of Child SAs are cut or padded to 4 octets", mixin=_AnySpiSize),
    Impairment("accepts-any-nonce-length", "nonces of any length are taken", (Check.NONCE_LENGTH,)),
    Impairment("accepts-any-ke-value", "public values are not checked", (Check.PUBLIC_VALUE,)),
    Impairment("ignores-ke-group", "KE of any group is taken", (Check.KE_GROUP, Check.PUBLIC_VALUE)),
    Impairment("ignores-critical-bit", "unknown critical payloads are skipped", (Check.CRITICAL,)),
    Impairment("accepts-major-version-3", "the major version is not looked at", (Check.MAJOR_VERSION,)),
    Impairment("accepts-zero-initiator-spi", "SPIi may be zero", (Check.INITIATOR_SPI,)),
    Impairment("accepts-nonzero-responder-spi", "a first message may have an SPIr", (Check.RESPONDER_SPI,)),
    Impairment("ignores-sa-counts", "lengths and counts are not held against each other", (Check.LENGTHS,)),
    Impairment(
        "accepts-malformed-payloads", "payloads that do not parse are skipped", (Check.MALFORMED, Check.LENGTHS)
    ),
    Impairment("accepts-duplicate-payloads", "of payloads that come twice the first is used", (Check.DUPLICATES,)),
    Impairment("accepts-unprotected", "messages without SK are processed", (Check.PROTECTION,)),
    Impairment("accepts-bad-icv", "the ICV is not checked", (Check.ICV,)),
    Impairment("accepts-payload-after-sk", "payloads behind SK are ignored", (Check.SK_LAST,)),
    Impairment(
        "accepts-any-message-id", "every request is processed, whatever its Message ID",
        (Check.MESSAGE_ID, Check.RETRANSMISSION),
    ),
    Impairment("answers-retransmit-afresh", "a repeated request is processed again", (Check.RETRANSMISSION,)),
    Impairment("accepts-any-response-id", "any Message ID completes a request", (Check.RESPONSE_ID,)),
    Impairment("accepts-wrong-exchange-type", "any exchange type completes a request", (Check.EXCHANGE_TYPE,)),
    Impairment("answers-responses", "unexpected responses are answered", (Check.STRAY_RESPONSE,)),
    Impairment(
        "accepts-exchanges-before-auth", "every exchange is answered before IKE_AUTH", (Check.AUTHENTICATED,)
    ),
    Impairment("accepts-second-ike-auth", "IKE_AUTH is answered again", (Check.SECOND_AUTH,)),
    Impairment(
        "answers-after-auth-failure", "the IKE SA goes on after AUTHENTICATION_FAILED", (Check.AUTH_FAILURE,)
    ),
    Impairment("keeps-deleted-ike-sa", "a deleted IKE SA goes on answering", (Check.DELETE_IKE,)),
    Impairment("keeps-deleted-child", "a deleted Child SA stays", (Check.DELETE_CHILD,)),
    Impairment("matches-spi-of-either-direction", "Child SAs are found by either SPI", (Check.SPI_DIRECTION,)),
    Impairment("ignores-rekey-spi", "REKEY_SA of an unknown SPI makes a new Child SA", (Check.REKEY_SPI,)),
    Impairment(
        "accepts-ike-rekey-without-ke", "an IKE SA is rekeyed from nonces alone", (Check.REKEY_KE,),
        mixin=_RekeyWithoutKe,
    ),
    Impairment("accepts-error-with-sa", "an error notify beside an SA payload is ignored", (Check.ERROR_FIRST,)),
    Impairment("accepts-wider-selectors", "answered selectors may be wider than the offer", (Check.SELECTORS,)),
    Impairment("accepts-ike-without-marker", "the non-ESP marker may be missing", (Check.NON_ESP_MARKER,)),
    Impairment("accepts-any-cookie", "any content of a demanded COOKIE will do", (Check.COOKIE,)),
    Impairment("rekeys-closing-child", "a Child SA being closed is rekeyed", (Check.CLOSING_CHILD,)),
    Impairment("never-temporary-failure", "conflicting requests are granted", (Check.CONFLICTS,)),
    Impairment("ignores-child-not-found", "a Child SA that the peer lost stays", (Check.CHILD_LOST,)),
    Impairment("trusts-invalid-spi", "a report of a strange SPI ends the IKE SA", (Check.REPORTS,)),
    Impairment(
        "trusts-invalid-ike-spi", "an unprotected INVALID_IKE_SPI ends the IKE SA", mixin=_TrustsInvalidIkeSpi
    ),
    Impairment(
        "trusts-unprotected-errors", "an unprotected error response ends the IKE SA", mixin=_TrustsUnprotectedErrors
    ),
    Impairment(
        "id-reserved-not-signed", "reserved octets of ID are left out of what AUTH covers", mixin=_IdReservedUnsigned
    ),
)  # fmt: skip
"""Faults of validation."""
