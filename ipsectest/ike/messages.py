"""What every message is held to before an exchange looks at its content (RFC 7296 sections 2.5 and 2.21)."""

from ipsectest.base.iana import FIRST_STATUS_NOTIFY, NotifyType, PayloadType
from ipsectest.ike.checks import Check
from ipsectest.ike.context import Context, Outcome, Verdict
from ipsectest.ike.sa import IkeSa
from ipsectest.wire import LAYOUTS, AnomalyCode, Message, Notify, UnknownPayload

_SYNTAX = frozenset({
    AnomalyCode.LENGTH_TOO_SMALL,
    AnomalyCode.LENGTH_BEYOND_CONTAINER,
    AnomalyCode.TRAILING_OCTETS,
    AnomalyCode.BODY_TOO_SHORT,
    AnomalyCode.COUNT_MISMATCH,
    AnomalyCode.LAST_SUBSTRUCTURE,
    AnomalyCode.SPI_SIZE,
    AnomalyCode.SELECTOR_LENGTH,
})  # fmt: skip
"""Anomalies after which a message cannot be trusted to say what it seems to say."""
_REPEATABLE = frozenset({
    PayloadType.CERT, PayloadType.CERTREQ, PayloadType.N, PayloadType.D, PayloadType.V, PayloadType.CP,
})  # fmt: skip


def fault(sa: IkeSa, message: Message, ctx: Context) -> Notify | None:
    """The error notify due for a request that is not acceptable as a whole, else None."""
    if (notify := ctx.policy.fault(sa, message)) is not None:
        return notify
    critical = unknown_critical(message)
    if critical is not None and ctx.policy.checks(Check.CRITICAL):
        return Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes([critical]))
    return Notify(NotifyType.INVALID_SYNTAX) if is_malformed(message, ctx) else None


def unknown_critical(message: Message) -> int | None:
    """The type of the first critical payload that has no layout here."""
    if message.anomalies:
        for payload in message.payloads:
            if payload.critical and isinstance(payload, UnknownPayload) and payload.type not in LAYOUTS:
                return payload.type
    return None


def is_malformed(message: Message, ctx: Context) -> bool:
    """Whether INVALID_SYNTAX is due: lengths that lie, bodies without their fixed part, payloads that come twice.

    A response with an unknown critical payload is as useless (RFC 7296 section 2.5); in a request ``fault`` names it.
    """
    if unknown_critical(message) is not None and ctx.policy.checks(Check.CRITICAL):
        return True
    if message.anomalies:
        codes = {anomaly.code for anomaly in message.anomalies}
        if AnomalyCode.BODY_TOO_SHORT in codes and ctx.policy.checks(Check.MALFORMED):
            return True
        if codes & _SYNTAX and ctx.policy.checks(Check.MALFORMED) and ctx.policy.checks(Check.LENGTHS):
            return True
    if not ctx.policy.checks(Check.DUPLICATES):
        return False
    kinds = [p.type for p in message.payloads if p.type in LAYOUTS and p.type not in _REPEATABLE]
    return len(set(kinds)) != len(kinds)


def first_error(message: Message) -> Notify | None:
    """The first error notify of a response."""
    return next((n for n in message.all(Notify) if n.notify_type < FIRST_STATUS_NOTIFY), None)


def retry_group(error: Notify, offered: list[int], current: int) -> int:
    """The group that INVALID_KE_PAYLOAD demands, 0 if it is none that we can retry with."""
    if error.notify_type != NotifyType.INVALID_KE_PAYLOAD or len(error.data) != 2:
        return 0
    group = int.from_bytes(error.data, "big")
    return group if group in offered and group != current else 0


def error_verdict(error: Notify, *, retry: bool) -> Verdict:
    """An error in a response: INVALID_SYNTAX ends the IKE SA (RFC 7296 section 2.21.3)."""
    if retry:
        return Verdict(Outcome.RETRY, error, "another group demanded")
    fatal = error.notify_type == NotifyType.INVALID_SYNTAX
    return Verdict(Outcome.FATAL if fatal else Outcome.REFUSED, error, "the peer refuses")
