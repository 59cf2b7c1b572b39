"""The Encrypted payload: sealing and opening messages with the keys of an IKE SA (RFC 7296 section 3.14, RFC 5282)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ipsectest.base.clock import RandomBytes
from ipsectest.crypto import IntegrityError
from ipsectest.ike.checks import Check
from ipsectest.ike.events import Drop, DropReason
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import IkeSa
from ipsectest.ike.unsealed import Unsealed
from ipsectest.wire import SK, Message, Payload, build_message, build_payloads, parse_payloads

_LENIENT = Policy()


@dataclass(slots=True)
class Sealing:
    """How to seal differently from a correct endpoint; None: as it does."""

    iv: bytes | None = None
    """Explicit IV."""
    padding: bytes | None = None
    """Padding octets; a plain cipher still needs a multiple of its block length."""
    pad_length: int | None = None
    """Pad Length octet."""
    plaintext: bytes | None = None
    """What is encrypted, Pad Length included, instead of the payloads."""
    before: Sequence[Payload] = ()
    """Payloads in clear before SK: the ICV covers them."""
    payload: SK | None = None
    """Generic header fields (critical, reserved, length) and ``first`` for the SK payload; its data are replaced."""


def seal(sa: IkeSa, message: Message, random: RandomBytes, sealing: Sealing | None = None) -> bytes:
    """Octets of message with its payloads encrypted; LookupError before there are keys, ValueError for odd sizes."""
    how = sealing or Sealing()
    if sa.keys is None or sa.chosen is None or (cipher := sa.chosen.cipher) is None:
        raise LookupError("the IKE SA has no keys yet")
    integrity = sa.chosen.integrity
    outgoing = sa.is_initiator
    key = sa.keys.sk_ei if outgoing else sa.keys.sk_er
    first, chain = build_payloads(message.payloads)
    plaintext = how.plaintext if how.plaintext is not None else _pad(chain, cipher.block_length, how)
    iv = how.iv if how.iv is not None else random(cipher.iv_length)
    icv_length = integrity.icv_length if integrity else cipher.icv_length
    sk = replace(how.payload) if how.payload else SK(b"")
    sk.first = how.payload.first if how.payload and how.payload.first else first
    sk.data = iv + bytes(len(plaintext) + icv_length)
    frame = build_message(_with(message, [*how.before, sk], message.trailing))
    aad = frame[: len(frame) - len(sk.data)]
    if integrity is None:
        return aad + iv + cipher.encrypt(key, iv, plaintext, aad)
    covered = aad + iv + cipher.encrypt(key, iv, plaintext)
    return covered + integrity.compute(sa.keys.sk_ai if outgoing else sa.keys.sk_ar, covered)


def _pad(chain: bytes, block_length: int, how: Sealing) -> bytes:
    padding = how.padding if how.padding is not None else bytes(-(len(chain) + 1) % block_length)
    pad_length = how.pad_length if how.pad_length is not None else len(padding)
    return chain + padding + bytes([pad_length & 0xFF])


def unseal(sa: IkeSa, message: Message, policy: Policy = _LENIENT) -> Unsealed | Drop:
    """Check and open a message of the peer; ``message.raw`` holds its octets. Never raises for what it holds."""
    sk = message.get(SK)
    if sk is None:
        return Drop(DropReason.UNPROTECTED)
    raw = message.raw
    if not raw.endswith(sk.data) or message.payloads[-1] is not sk:
        if policy.checks(Check.SK_LAST):
            return Drop(DropReason.SK_PLACE)
        raw = raw[: raw.rfind(sk.data) + len(sk.data)]
    opened = _open(sa, raw[: len(raw) - len(sk.data)], sk.data, policy)
    if isinstance(opened, Drop):
        return opened
    iv, plaintext, forged = opened
    if forged:
        return Unsealed(replace(message, payloads=[], anomalies=()), [], (), b"", iv)
    if not plaintext or plaintext[-1] >= len(plaintext):
        return Drop(DropReason.BAD_PADDING)
    inner = parse_payloads(sk.first, plaintext[: -1 - plaintext[-1]])
    clear = _with(message, [*message.payloads[: message.payloads.index(sk)], *inner.items], inner.trailing)
    clear.next_payload = clear.length = None
    clear.raw = message.raw
    clear.anomalies = (*message.anomalies, *inner.anomalies) if policy.checks(Check.SK_LAST) else inner.anomalies
    return Unsealed(clear, inner.items, inner.anomalies, plaintext, iv)


def _with(message: Message, payloads: list[Payload], trailing: bytes) -> Message:
    """A copy with other payloads; ``dataclasses.replace`` takes several times as long."""
    return Message(
        message.initiator_spi, message.responder_spi, message.exchange_type, message.flags, message.message_id,
        payloads, message.major, message.minor, message.next_payload, message.length, trailing,
    )  # fmt: skip


def _open(sa: IkeSa, aad: bytes, data: bytes, policy: Policy) -> tuple[bytes, bytes, bool] | Drop:
    """IV and plaintext of the SK data, and whether they are forged but let through."""
    if sa.keys is None or sa.chosen is None or (cipher := sa.chosen.cipher) is None:
        return Drop(DropReason.NO_KEYS)
    integrity = sa.chosen.integrity
    key = sa.keys.sk_er if sa.is_initiator else sa.keys.sk_ei
    iv, rest = data[: cipher.iv_length], data[cipher.iv_length :]
    if len(iv) < cipher.iv_length:
        return Drop(DropReason.BAD_ICV, "SK data are shorter than an IV")
    if integrity is not None:
        covered, icv = data[: -integrity.icv_length], data[-integrity.icv_length :]
        rest = rest[: -integrity.icv_length]
        key_a = sa.keys.sk_ar if sa.is_initiator else sa.keys.sk_ai
        if not integrity.verify(key_a, aad + covered, icv) and policy.checks(Check.ICV):
            return Drop(DropReason.BAD_ICV)
        aad = b""
    try:
        return iv, cipher.decrypt(key, iv, rest, aad), False
    except IntegrityError as error:
        return Drop(DropReason.BAD_ICV, str(error)) if policy.checks(Check.ICV) else (iv, b"", True)
