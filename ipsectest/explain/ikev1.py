"""IKEv1 in a capture: phases, messages in order, repetitions and errors, and whether it came up."""

from collections import OrderedDict
from dataclasses import dataclass, field, replace

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.iana import KeyExchangeMethod, TransformType, name_of
from ipsectest.base.iana_ikev1 import (
    PHASE1_CIPHERS,
    PHASE1_HASHES,
    ExchangeV1,
    PayloadV1,
    Phase1Attribute,
)
from ipsectest.base.suites import TransformSpec
from ipsectest.decrypt.ikev1 import OpenedV1
from ipsectest.decrypt.ikev1.messages import Part, TransformV1, first_part, proposals
from ipsectest.explain.conversations import TWICE_SEEN, Sighting
from ipsectest.explain.ladder import Rung

MOST_SAS = 1000
MOST_MESSAGES = 400
ERRORS = {
    1: "INVALID-PAYLOAD-TYPE", 4: "INVALID-COOKIE", 5: "INVALID-MAJOR-VERSION", 9: "INVALID-MESSAGE-ID",
    14: "NO-PROPOSAL-CHOSEN", 16: "PAYLOAD-MALFORMED", 17: "INVALID-KEY-INFORMATION", 18: "INVALID-ID-INFORMATION",
    20: "INVALID-CERTIFICATE", 23: "INVALID-HASH-INFORMATION", 24: "AUTHENTICATION-FAILED", 25: "INVALID-SIGNATURE",
}  # fmt: skip
"""Notify types of RFC 2408 section 3.14.1 that end something."""
_FIRST_STATUS = 16384
_MODES = {ExchangeV1.MAIN_MODE: 6, ExchangeV1.AGGRESSIVE_MODE: 3}
"""Messages of a complete phase 1."""
_SHOWN = 8


@dataclass(slots=True)
class MessageV1:
    """One message, however often it was sent."""

    exchange: int
    message_id: int
    sighting: Sighting
    to_right: bool
    names: str
    errors: tuple[int, ...]
    is_encrypted: bool
    times: int = 1
    last: int = 0


@dataclass(slots=True)
class ConversationV1:
    """One phase 1 SA and what came under it."""

    cookie_i: bytes
    initiator: str
    responder: str
    messages: list[MessageV1] = field(default_factory=list)
    offer: list[str] = field(default_factory=list)
    chosen: str = ""
    by_digest: dict[int, int] = field(default_factory=dict)

    @property
    def ends(self) -> frozenset[str]:
        """Both addresses."""
        return frozenset((self.initiator, self.responder))

    @property
    def phase1(self) -> list[MessageV1]:
        """Messages of main or aggressive mode."""
        return [one for one in self.messages if one.exchange in _MODES]

    @property
    def is_established(self) -> bool | None:
        """Whether phase 1 is complete, as far as messages can tell; None where it was before the capture."""
        if any(one.exchange in {ExchangeV1.QUICK_MODE, ExchangeV1.TRANSACTION} for one in self.messages):
            return True
        if not self.phase1:
            return None
        return len(self.phase1) >= _MODES[ExchangeV1(self.phase1[0].exchange)]

    def rungs(self) -> list[Rung]:
        """The ladder."""
        made = []
        for one in self.messages:
            number = f" {one.message_id:08x}" if one.message_id else ""
            mode = name_of(ExchangeV1, one.exchange)
            made.append(
                Rung(
                    one.sighting.frame, one.sighting.nanoseconds, str(one.sighting.source),
                    str(one.sighting.destination),
                    one.to_right, f"{mode}{number}: {one.names}", one.times,
                    (one.last - one.sighting.nanoseconds) / 1e9 if one.times > 1 else 0.0, bool(one.errors),
                )
            )  # fmt: skip
        if made and self.messages[-1].times > 1:
            made[-1] = replace(made[-1], is_unanswered=True)
        return made


class ConversationsV1:
    """All of a capture; bounded."""

    def __init__(self) -> None:
        self.found: OrderedDict[bytes, ConversationV1] = OrderedDict()

    def take(self, opened: OpenedV1, sighting: Sighting) -> None:
        """One message."""
        message = opened.message
        conversation = self.found.get(message.cookie_i)
        if conversation is None:
            ends = sighting.source.host, sighting.destination.host
            conversation = self.found[message.cookie_i] = ConversationV1(message.cookie_i, *ends)
            if len(self.found) > MOST_SAS:
                self.found.popitem(last=False)
        place = conversation.by_digest.get(sighting.digest)
        if place is not None:
            again = conversation.messages[place]
            again.times += sighting.nanoseconds - again.last > TWICE_SEEN
            again.last = sighting.nanoseconds
            return
        if len(conversation.messages) >= MOST_MESSAGES:
            return
        conversation.by_digest[sighting.digest] = len(conversation.messages)
        to_right = sighting.source.host == conversation.initiator
        conversation.messages.append(
            MessageV1(
                message.exchange, message.message_id, sighting, to_right, _names(opened), _errors(opened.parts),
                opened.is_encrypted and not opened.is_clear, last=sighting.nanoseconds,
            )
        )  # fmt: skip
        _settle(conversation, opened.parts, to_right=to_right)


def _settle(conversation: ConversationV1, parts: tuple[Part, ...], *, to_right: bool) -> None:
    body = first_part(parts, PayloadV1.SA)
    if not body or conversation.chosen:
        return
    suites = [_suite(one) for proposal in proposals(body)[:_SHOWN] for one in proposal.transforms[:_SHOWN]]
    if to_right and not conversation.offer:
        conversation.offer = suites
    elif not to_right and len(suites) == 1:
        conversation.chosen = suites[0]


def _suite(transform: TransformV1) -> str:
    """In the words of ``base.suites``, with the method of authentication (RFC 2409 appendix A)."""
    values = transform.attributes
    words = []
    cipher = PHASE1_CIPHERS.get(values.get(Phase1Attribute.ENCRYPTION, 0))
    if cipher is not None:
        bits = values.get(Phase1Attribute.KEY_LENGTH) or (
            128 if cipher in {Encr.ENCR_AES_CBC, Encr.ENCR_CAMELLIA_CBC} else None
        )
        words.append(str(TransformSpec(TransformType.ENCR, cipher, bits)))
    hashed = PHASE1_HASHES.get(values.get(Phase1Attribute.HASH, 0))
    words += [hashed[1]] if hashed else []
    group = values.get(Phase1Attribute.GROUP, 0)
    words += [str(TransformSpec(TransformType.KE, group))] if group in set(KeyExchangeMethod) else []
    method = values.get(Phase1Attribute.AUTHENTICATION, 0)
    words.append({1: "psk", 3: "rsa", 9: "ecdsa", 65001: "xauthpsk"}.get(method, f"authentication {method}"))
    return "-".join(words)


def _names(opened: OpenedV1) -> str:
    if opened.is_encrypted and not opened.is_clear:
        return f"encrypted, {len(opened.message.data)} octets"
    shown, vendors = [], 0
    for part in opened.parts[:64]:
        if part.type == PayloadV1.VID:
            vendors += 1
        elif part.type == PayloadV1.N:
            kind = _notify(part)
            shown.append(f"N({ERRORS.get(kind, str(kind))})")
        else:
            shown.append(name_of(PayloadV1, part.type))
    return " ".join([*shown, *([f"+{vendors} V"] if vendors else [])]) or "empty"


def _errors(parts: tuple[Part, ...]) -> tuple[int, ...]:
    kinds = (_notify(part) for part in parts if part.type == PayloadV1.N)
    return tuple(kind for kind in kinds if 0 < kind < _FIRST_STATUS)[:8]


def _notify(part: Part) -> int:
    """The Notify Message Type: behind DOI, protocol and SPI size (RFC 2408 section 3.14)."""
    return int.from_bytes(part.body[6:8], "big") if len(part.body) >= 8 else 0
