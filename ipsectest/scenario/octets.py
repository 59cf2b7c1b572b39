"""A message of a sent line -> octets: forced header fields, and the Encrypted payload sealed well or damaged."""

from collections.abc import Sequence

from ipsectest.base.iana import ExchangeType, HeaderFlag
from ipsectest.ike.protect import Sealing, seal
from ipsectest.ike.sa import IkeSa
from ipsectest.scenario.model import Edit, Offset
from ipsectest.scenario.values import Values
from ipsectest.wire import SK, Message, Payload, build_message, build_payloads

_BITS = {"i": HeaderFlag.INITIATOR, "r": HeaderFlag.RESPONSE, "v": HeaderFlag.VERSION}
_LENGTH_AT = 24
"""Octet of the header's Length field."""


def is_protected(exchange: int) -> bool:
    """Whether messages of an exchange carry an Encrypted payload: all but IKE_SA_INIT."""
    return exchange not in {ExchangeType.IKE_SA_INIT, ExchangeType.IKE_SESSION_RESUME}


def force_header(message: Message, edits: Sequence[Edit], values: Values) -> None:
    """Apply HDR(...) to a message; a relative length is left for later."""
    for edit in edits:
        if edit.name in _BITS:
            bit = int(_BITS[edit.name])
            message.flags = message.flags & ~bit | (bit if values.number(edit.operand, 0) else 0)
        elif edit.name in {"initiator_spi", "responder_spi", "trailing"}:
            setattr(message, edit.name, values.octets(edit.operand, getattr(message, edit.name)))
        elif not (edit.name == "length" and isinstance(edit.operand, Offset)):
            setattr(message, edit.name, values.number(edit.operand, getattr(message, edit.name) or 0))


def plain_octets(message: Message, header: Sequence[Edit], values: Values) -> bytes:
    """A message in clear."""
    octets = build_message(message)
    for edit in header:
        if edit.name == "length" and isinstance(edit.operand, Offset):
            message.length = values.number(edit.operand, len(octets))
            octets = build_message(message)
    return octets


def sealed_octets(
    sa: IkeSa,
    message: Message,
    values: Values,
    *,
    header: Sequence[Edit] = (),
    protection: Sequence[Edit] = (),
    outside: tuple[Sequence[Payload], Sequence[Payload]] = ((), ()),
) -> bytes:
    """A protected message; ``outside`` are payloads before and after SK. LookupError before there are keys."""
    before, after = outside
    sealing = _sealing(sa, message, protection, values)
    sealing.before = before
    trailer = build_payloads(list(after))[1] if after else b""
    correct = len(seal(sa, message, values.random, sealing)) + len(trailer)
    for edit in header:
        if edit.name == "length" and isinstance(edit.operand, Offset):
            message.length = values.number(edit.operand, correct)
    if trailer and message.length is None:
        message.length = correct
    for edit in protection:
        if edit.name == "length" and sealing.payload is not None:
            inner = correct - len(trailer) - 28 - len(build_payloads(list(before))[1] if before else b"")
            sealing.payload.length = values.number(edit.operand, inner)
    return _damaged(sa, seal(sa, message, values.random, sealing), protection, values) + trailer


def _sealing(sa: IkeSa, message: Message, edits: Sequence[Edit], values: Values) -> Sealing:
    sealing = Sealing()
    cipher = sa.chosen.cipher if sa.chosen else None
    block = cipher.block_length if cipher else 1
    inner = len(build_payloads(message.payloads)[1])
    for edit in edits:
        operand = edit.operand
        if edit.name == "iv":
            sealing.iv = values.octets(operand, bytes(cipher.iv_length if cipher else 8))
        elif edit.name == "pad":
            wanted = values.number(operand, 0)
            aligned = wanted + -(inner + wanted + 1) % block
            sealing.padding = bytes(aligned - block if aligned > 255 >= wanted else aligned)
        elif edit.name == "padding":
            sealing.padding = values.octets(operand, bytes(-(inner + 1) % block))
        elif edit.name == "pad_length":
            sealing.pad_length = values.number(operand, -(inner + 1) % block)
        elif edit.name in {"first", "critical", "reserved", "length"}:
            sealing.payload = sealing.payload or SK(b"")
            if edit.name == "critical":
                sealing.payload.critical = bool(values.number(operand, 0))
            elif edit.name != "length":
                setattr(sealing.payload, edit.name, values.number(operand, 0))
    return sealing


def _damaged(sa: IkeSa, octets: bytes, edits: Sequence[Edit], values: Values) -> bytes:
    """Change ICV or ciphertext after sealing; the lengths follow, so that only the checksum is wrong."""
    chosen = sa.chosen
    if chosen is None or chosen.cipher is None:
        return octets
    size = chosen.integrity.icv_length if chosen.integrity else chosen.cipher.icv_length
    for edit in edits:
        if edit.name == "icv":
            octets = _resized(octets, octets[:-size] + values.octets(edit.operand, octets[-size:]))
        elif edit.name == "ciphertext":
            body, icv = octets[:-size], octets[-size:]
            start = _sk_start(octets) + 4 + chosen.cipher.iv_length
            changed = values.octets(edit.operand, body[start:])
            octets = _resized(octets, body[:start] + changed + icv)
    return octets


def _resized(old: bytes, new: bytes) -> bytes:
    """Correct the header's and SK's Length if the size changed."""
    difference = len(new) - len(old)
    if not difference:
        return new
    at = _sk_start(old) + 2
    patched = bytearray(new)
    patched[_LENGTH_AT : _LENGTH_AT + 4] = len(new).to_bytes(4, "big")
    if len(patched) >= at + 2:
        length = int.from_bytes(old[at : at + 2], "big") + difference
        patched[at : at + 2] = max(length, 0).to_bytes(2, "big")
    return bytes(patched)


def _sk_start(octets: bytes) -> int:
    """Where the SK payload begins, walking the payloads before it."""
    kind, at = octets[16], 28
    while kind != SK.type and at + 4 <= len(octets):
        kind, length = octets[at], int.from_bytes(octets[at + 2 : at + 4], "big")
        at += max(length, 4)
    return min(at, max(len(octets) - 4, 0))
