"""How far an IKE SA came, also where nobody has its keys: lengths of encrypted messages tell much."""

from dataclasses import dataclass

from ipsectest.base.iana import ExchangeType, NotifyType, TransformType
from ipsectest.crypto import UnsupportedAlgorithmError, cipher, integrity, prf
from ipsectest.decrypt.negotiations import chosen_proposal
from ipsectest.explain.conversations import Conversation, Exchange
from ipsectest.wire import SK

_ERROR_ALONE = 8 + 1 + 1
"""A Notify payload without SPI, one octet of data (UNSUPPORTED_CRITICAL_PAYLOAD), Pad Length."""
_WITHOUT_AUTH = (4 + 8 + 4 + 8 + 8) + 2 * (8 + 16) + (8 + 1) + 8
"""What a response that makes a Child SA has at least: SA with one ESP proposal of a cipher without key length and ESN,
TSi and TSr, IDr with one octet, the header of AUTH."""
_IDENTITY = 8 + 1
"""IDr, which came in the first response where EAP makes several (RFC 7296 section 2.16)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the length of an encrypted payload says."""

    most: int
    """Octets of payloads in it at most (padding included)."""
    is_error_alone: bool
    """It can hold one notification without data and nothing else."""
    lacks_child: bool
    """A response of IKE_AUTH that is too short to hold IDr, AUTH, SA, TSi and TSr."""


def read_length(conversation: Conversation, exchange: Exchange) -> Reading | None:
    """About the response of an exchange; None if the suite is not known or it came in fragments."""
    opened = exchange.response.opened
    payload = opened.message.get(SK) if opened else None
    chosen = next(
        (
            found
            for one in conversation.of(ExchangeType.IKE_SA_INIT)
            if (found := chosen_proposal(one.response.payloads))
        ),
        None,
    )
    if payload is None or chosen is None:
        return None
    specs = {spec.type: spec for spec in chosen.specs}
    try:
        algorithm = cipher(specs[TransformType.ENCR].id, specs[TransformType.ENCR].key_length)
        tag = algorithm.icv_length
        if not algorithm.is_aead:
            tag = integrity(specs[TransformType.INTEG].id).icv_length
        mac = prf(specs[TransformType.PRF].id).output_length
    except (UnsupportedAlgorithmError, ValueError, KeyError):
        return None
    most = len(payload.data) - algorithm.iv_length - tag
    block = max(algorithm.block_length, 16) if not algorithm.is_aead else 4
    least = _WITHOUT_AUTH + mac - (_IDENTITY if exchange.message_id > 1 else 0)
    return Reading(most, most <= -(-_ERROR_ALONE // block) * block, most < least)


def is_established(conversation: Conversation) -> bool | None:
    """Whether both sides authenticated each other, as far as can be seen; None where that was before the capture."""
    answers = [one for one in conversation.of(ExchangeType.IKE_AUTH) if one.is_answered]
    both_ways = [one for one in conversation.exchanges if one.is_answered and one.request.sightings]
    if any(one.type == ExchangeType.CREATE_CHILD_SA for one in both_ways):
        return True
    if not answers:
        if any(conversation.of(ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH)):
            return False
        return True if any(one.type in set(ExchangeType) for one in both_ways) else None
    last = answers[-1]
    if last.response.is_readable:
        fatal = {NotifyType.AUTHENTICATION_FAILED, NotifyType.INVALID_SYNTAX, NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD}
        return not fatal & {one.notify_type for one in last.response.errors()}
    length = read_length(conversation, last)
    return length is None or not length.is_error_alone


def is_readable(conversation: Conversation) -> bool:
    """Whether no message is encrypted still."""
    return all(
        half.is_readable for one in conversation.exchanges for half in (one.request, one.response) if half.sightings
    )


def has_no_child(conversation: Conversation) -> Exchange | None:
    """The exchange whose encrypted answer is too short for the Child SA that IKE_AUTH asks for."""
    answered = [one for one in conversation.of(ExchangeType.IKE_AUTH) if one.is_answered]
    if not answered or answered[-1].response.is_readable:
        return None
    length = read_length(conversation, answered[-1])
    return answered[-1] if length and length.lacks_child and not length.is_error_alone else None
