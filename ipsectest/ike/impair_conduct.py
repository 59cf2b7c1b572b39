"""Impairments of conduct: timing, retries, collisions, roles, and what is remembered."""

from collections.abc import Sequence
from dataclasses import replace

from ipsectest.base.addresses import Address
from ipsectest.base.clock import RandomBytes
from ipsectest.base.iana import ExchangeType, HashAlgorithm, HeaderFlag, NotifyType
from ipsectest.ike import keys, protect
from ipsectest.ike.checks import Check
from ipsectest.ike.config import EndpointConfig
from ipsectest.ike.impairment import Impairment
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import IkeSa, Role
from ipsectest.wire import SA, Delete, Message, Nonce, Notify, build_message

_INIT, _AUTH = ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH
_HASHES = NotifyType.SIGNATURE_HASH_ALGORITHMS


def _answers_init(message: Message, notify_type: int) -> bool:
    return message.is_response and message.notify(notify_type) is not None and message.get(SA) is None


def _is_cookie(_: IkeSa | None, message: Message) -> bool:
    return message.exchange_type == _INIT and _answers_init(message, NotifyType.COOKIE)


def _is_invalid_ke(_: IkeSa | None, message: Message) -> bool:
    return _answers_init(message, NotifyType.INVALID_KE_PAYLOAD)


class _NeverRetransmits(Policy):
    def retransmission(self, sa: IkeSa, message: Message, octets: bytes, random: RandomBytes) -> bytes | None:
        del sa, message, octets, random
        return None


class _ChangesBits(Policy):
    """Seals a repetition anew; an IKE_SA_INIT request gets another nonce."""

    def retransmission(self, sa: IkeSa, message: Message, octets: bytes, random: RandomBytes) -> bytes | None:
        del octets
        if message.exchange_type != _INIT:
            return protect.seal(sa, message, random)
        for nonce in message.all(Nonce):
            sa.nonce_i = nonce.data = random(len(nonce.data))
        changed = build_message(message)
        sa.sent(changed)
        return changed


class _NewIds(Policy):
    def retransmission(self, sa: IkeSa, message: Message, octets: bytes, random: RandomBytes) -> bytes | None:
        if message.exchange_type == _INIT:
            return octets
        return protect.seal(sa, replace(message, message_id=sa.take_message_id()), random)


class _FixedIntervals(Policy):
    def wait(self, config: EndpointConfig, transmissions: int) -> float | None:
        return None if super().wait(config, transmissions) is None else config.retransmission.initial


class _NoWindow(Policy):
    def window(self, sa: IkeSa) -> int:
        del sa
        return 1 << 16


class _EchoesResponses(Policy):
    def repeats_responses_after(self) -> float | None:
        return 0.3


class _RetriesAtOnce(Policy):
    def retry_after_temporary_failure(self, attempts: int, random: RandomBytes) -> float | None:
        return None if super().retry_after_temporary_failure(attempts, random) is None else 0.0


class _NeverAsksCookie(Policy):
    def wants_cookie(self, half_open: int, config: EndpointConfig) -> bool:
        del half_open, config
        return False


class _Vanishes(Policy):
    def outgoing(self, sa: IkeSa | None, message: Message) -> Message | None:
        if not message.is_response and message.get(Delete) is not None:
            return None
        return super().outgoing(sa, message)


class _StaysOn500(Policy):
    def moves_to_nat_port(self, sa: IkeSa) -> bool:
        del sa
        return False


class _NoMarker(Policy):
    def marker(self, local: Address) -> bytes:
        del local
        return b""


class _RepliesTo500(Policy):
    def reply_to(self, source: Address) -> Address:
        return replace(source, port=500)


class _Nonces(Policy):
    length, value = 32, b""

    def nonce(self, random: RandomBytes) -> bytes:
        return self.value or random(self.length)


class _ShortNonces(_Nonces):
    length = 8


class _SameNonces(_Nonces):
    value = b"\x5a" * 32


class _KeepsOwn(Policy):
    own = True

    def keeps_own(self, own: tuple[bytes, bytes], peers: tuple[bytes, bytes]) -> bool:
        del own, peers
        return self.own


class _LosesAlways(_KeepsOwn):
    own = False


class _LosesChildren(Policy):
    def succeed(self, old: IkeSa, new: IkeSa) -> None:
        new.children = {}
        super().succeed(old, new)


class _KeepsMessageIds(Policy):
    def succeed(self, old: IkeSa, new: IkeSa) -> None:
        new.next_request_id, new.next_expected_id = old.next_request_id, old.next_expected_id
        super().succeed(old, new)


class _KeepsRoles(Policy):
    """Sends the I flag of the first IKE SA for ever."""

    role: Role | None = None

    def outgoing(self, sa: IkeSa | None, message: Message) -> Message | None:
        if sa is not None:
            self.role = self.role or sa.role
            flag = HeaderFlag.INITIATOR if self.role is Role.INITIATOR else 0
            message.flags = message.flags & ~HeaderFlag.INITIATOR | flag
        return super().outgoing(sa, message)


class _NewPrfForSkeyseed(Policy):
    def succeed(self, old: IkeSa, new: IkeSa) -> None:
        if new.chosen is not None:
            keys.derive_rekeyed(old, new, new.chosen.prf)
        super().succeed(old, new)


class _Hears(Policy):
    """Believes other SIGNATURE_HASH_ALGORITHMS than the peer sent, and signs accordingly."""

    hashes: Sequence[int] = ()

    def incoming(self, sa: IkeSa | None, message: Message) -> Message | None:
        if message.exchange_type == _INIT:
            kept = [p for p in message.payloads if not (isinstance(p, Notify) and p.notify_type == _HASHES)]
            told = b"".join(h.to_bytes(2, "big") for h in self.hashes)
            message.payloads = [*kept, Notify(_HASHES, told)] if self.hashes else kept
        return super().incoming(sa, message)


class _HearsSha256(_Hears):
    hashes = (HashAlgorithm.SHA2_256,)


class _HearsAll(_Hears):
    hashes = (HashAlgorithm.SHA2_256, HashAlgorithm.SHA2_384, HashAlgorithm.SHA2_512, HashAlgorithm.IDENTITY)


class _SignsFirstRequest(Policy):
    """As initiator: AUTH covers the first IKE_SA_INIT request instead of the last."""

    first_request = b""

    def incoming(self, sa: IkeSa | None, message: Message) -> Message | None:
        if sa is not None and sa.is_initiator and message.exchange_type == _INIT:
            self.first_request = self.first_request or sa.init_request
            if message.get(SA) is not None:
                sa.init_request = self.first_request
        return super().incoming(sa, message)


class _VerifiesFirstRequest(Policy):
    """As responder: AUTH is verified over the first IKE_SA_INIT request of an SPIi instead of the last."""

    def __init__(self) -> None:
        super().__init__()
        self.first: dict[bytes, bytes] = {}

    def incoming(self, sa: IkeSa | None, message: Message) -> Message | None:
        if sa is None and len(self.first) < 64:
            self.first.setdefault(message.initiator_spi, message.raw)
        elif sa is not None and message.exchange_type == _AUTH and not message.is_response:
            sa.init_request = self.first.get(sa.spi_i, sa.init_request)
        return super().incoming(sa, message)


class _ForgetsCookie(Policy):
    """After INVALID_KE_PAYLOAD: no cookie any more, neither the old one nor a new one."""

    named = False

    def incoming(self, sa: IkeSa | None, message: Message) -> Message | None:
        if sa is not None and _is_invalid_ke(sa, message):
            self.named, sa.cookie = True, None
        if self.named and _is_cookie(sa, message):
            return None
        return super().incoming(sa, message)


CONDUCT: tuple[Impairment, ...] = (
    Impairment("never-retransmits", "requests are sent once", mixin=_NeverRetransmits),
    Impairment("retransmit-changes-bits", "repetitions differ in IV or nonce", mixin=_ChangesBits),
    Impairment("retransmit-new-id", "repetitions have a new Message ID", mixin=_NewIds),
    Impairment("retransmits-at-fixed-intervals", "waits do not grow", mixin=_FixedIntervals),
    Impairment("retransmits-responses", "responses are sent again unasked", mixin=_EchoesResponses),
    Impairment("never-answers-retransmit", "repeated requests are ignored", (Check.STORED_RESPONSE,)),
    Impairment("opens-second-request", "the peer's window is exceeded", mixin=_NoWindow),
    Impairment("keeps-what-cannot-be-rekeyed", "NO_ADDITIONAL_SAS changes nothing", (Check.NO_ADDITIONAL_SAS,)),
    Impairment("retries-at-once", "TEMPORARY_FAILURE is not waited for", mixin=_RetriesAtOnce),
    Impairment("never-asks-cookie", "no COOKIE is ever demanded", mixin=_NeverAsksCookie),
    Impairment("ignores-cookie", "COOKIE is not echoed", refuses=_is_cookie),
    Impairment("drops-cookie-after-invalid-ke", "COOKIE is forgotten with the group", mixin=_ForgetsCookie),
    Impairment("ignores-invalid-ke", "INVALID_KE_PAYLOAD is not obeyed", refuses=_is_invalid_ke),
    Impairment("vanishes-silently", "SAs are removed without Delete", mixin=_Vanishes),
    Impairment("talks-after-ike-delete", "a request follows the Delete", (Check.LAST_DELETE,)),
    Impairment("forgets-old-ike-sa", "a rekeyed IKE SA is gone at once", (Check.OLD_IKE_SA,)),
    Impairment("stays-on-port-500", "no move to port 4500", mixin=_StaysOn500),
    Impairment("sends-without-marker", "no non-ESP marker on port 4500", mixin=_NoMarker),
    Impairment("answers-to-port-500", "responses go to port 500", mixin=_RepliesTo500),
    Impairment("sends-nonce-of-8", "nonces have 8 octets", mixin=_ShortNonces),
    Impairment("reuses-nonce", "all nonces are the same", mixin=_SameNonces),
    Impairment("collision-keeps-own", "the own SA survives every collision", mixin=_KeepsOwn),
    Impairment("collision-deletes-both", "the own SA loses every collision", mixin=_LosesAlways),
    Impairment("rekey-loses-children", "a new IKE SA has no Child SAs", mixin=_LosesChildren),
    Impairment("keeps-message-ids", "a new IKE SA goes on counting", mixin=_KeepsMessageIds),
    Impairment("keeps-old-roles", "the I flag never changes", mixin=_KeepsRoles),
    Impairment("rekey-skeyseed-with-new-prf", "SKEYSEED is made with the new PRF", mixin=_NewPrfForSkeyseed),
    Impairment("uses-method-1", "signatures are made as before RFC 7427", mixin=_Hears),
    Impairment("uses-method-9", "signatures are made as before RFC 7427", mixin=_Hears),
    Impairment("uses-method-14-always", "method 14 whatever was announced", mixin=_HearsAll),
    Impairment("signs-with-unlisted-hash", "SHA2-256 whatever was announced", mixin=_HearsSha256),
    Impairment("signs-first-request", "AUTH covers the first IKE_SA_INIT", mixin=_SignsFirstRequest),
    Impairment("verifies-first-request", "AUTH is held against the first IKE_SA_INIT", mixin=_VerifiesFirstRequest),
)
"""Faults of conduct."""
