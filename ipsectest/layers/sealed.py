"""SK and SKF payloads with keys: payload layers behind them are sealed, octets in them opened.

``seal(IKEv2(...)/IKEv2_SK()/IKEv2_IDi(...)/..., keys)`` gives the packet of the wire,
``unseal(packet, keys)`` the layers again (RFC 7296 section 3.14, RFC 5282, RFC 7383 section 2.5).
"""

import secrets
from dataclasses import dataclass
from typing import Self

from scapy.packet import Packet

from ipsectest import wire
from ipsectest.base.errors import InputError
from ipsectest.base.iana import IntegrityAlgorithm, TransformType
from ipsectest.base.suites import parse_suite
from ipsectest.crypto import Cipher, Integrity, IntegrityError, cipher, integrity
from ipsectest.layers.ikev2 import attach, from_message, to_message
from ipsectest.layers.layer import chain


@dataclass(frozen=True, slots=True)
class SkKeys:
    """The keys of one direction of an IKE SA: SK_e with its salt, SK_a unless the cipher is an AEAD."""

    cipher: Cipher
    encryption_key: bytes
    integrity: Integrity | None = None
    integrity_key: bytes = b""

    @classmethod
    def of(cls, suite: str, encryption_key: bytes, integrity_key: bytes = b"") -> Self:
        """Keys for a suite such as ``aes128gcm16`` or ``aes256-sha256``; words of other types do not matter.

        Raises InputError where a key has the wrong length.
        """
        specs = {spec.type: spec for spec in reversed(parse_suite(suite))}
        encryption, mac = specs.get(TransformType.ENCR), specs.get(TransformType.INTEG)
        if encryption is None:
            raise InputError(f"the suite {suite!r} names no cipher")
        encr = cipher(encryption.id, encryption.key_length)
        integ = integrity(mac.id) if mac and mac.id != IntegrityAlgorithm.NONE and not encr.is_aead else None
        _check("encryption", encryption_key, encr.key_length + encr.salt_length)
        _check("integrity", integrity_key, integ.key_length if integ else 0)
        return cls(encr, encryption_key, integ, integrity_key)

    @property
    def icv_length(self) -> int:
        """Octets at the end of the payload."""
        return self.integrity.icv_length if self.integrity else self.cipher.icv_length


def _check(what: str, key: bytes, length: int) -> None:
    if len(key) != length:
        raise InputError(f"the {what} key has {len(key)} octets, {length} are needed")


def seal(packet: Packet, keys: SkKeys, *, iv: bytes | None = None, padding: bytes | None = None) -> Packet:
    """An IKEv2 packet whose payloads behind its SK or SKF layer are encrypted into that layer.

    ``iv`` is random and ``padding`` the shortest that fits unless given. Raises InputError
    without an SK layer, and when the padding does not fill the cipher's blocks.
    """
    message = to_message(packet)
    place, sk = _sealed_payload(message)
    first, inner = wire.build_payloads(message.payloads[place + 1 :])
    if padding is None:
        padding = bytes(-(len(inner) + 1) % keys.cipher.block_length)
    plaintext = inner + padding + bytes((len(padding),))
    if len(plaintext) % keys.cipher.block_length:
        raise InputError(f"{len(plaintext)} octets do not fill blocks of {keys.cipher.block_length}")
    iv = secrets.token_bytes(keys.cipher.iv_length) if iv is None else iv
    sk.first = sk.first or first
    sk.data = iv + bytes(len(plaintext) + keys.icv_length)
    message.payloads = message.payloads[: place + 1]
    message.trailing = b""
    frame = wire.build_message(message)
    head = frame[: len(frame) - len(sk.data)]
    if keys.integrity is None:
        sk.data = iv + keys.cipher.encrypt(keys.encryption_key, iv, plaintext, head)
    else:
        sk.data = iv + keys.cipher.encrypt(keys.encryption_key, iv, plaintext)
        sk.data += keys.integrity.compute(keys.integrity_key, head + sk.data)
    return from_message(message)


def unseal(packet: Packet, keys: SkKeys) -> Packet:
    """The packet with the payloads of its SK layer as layers behind it, the SK layer empty.

    For an SKF layer the plaintext of the fragment follows as a Raw layer: only all fragments together
    are a payload chain. Raises InputError where there is nothing to open or the ICV is wrong.
    """
    message = to_message(packet)
    _, sk = _sealed_payload(message)
    frame = wire.build_message(message)
    head_length = len(frame) - len(message.trailing) - len(sk.data)
    plaintext = _open(frame[:head_length], sk.data, keys)
    if not plaintext or plaintext[-1] >= len(plaintext):
        raise InputError("the pad length is longer than the plaintext")
    content = plaintext[: len(plaintext) - 1 - plaintext[-1]]
    inner = wire.parse_payloads(0 if isinstance(sk, wire.SKF) else sk.first, content)
    sk.data = b""
    message.trailing = b""
    opened = from_message(message)
    *_, last = chain(opened)
    attach(last, inner.items, inner.trailing)
    return opened


def _sealed_payload(message: wire.Message) -> tuple[int, wire.SK | wire.SKF]:
    for place, payload in enumerate(message.payloads):
        if isinstance(payload, wire.SK | wire.SKF):
            return place, payload
    raise InputError("there is no SK or SKF payload")


def _open(head: bytes, data: bytes, keys: SkKeys) -> bytes:
    size = keys.cipher.iv_length
    if len(data) < size + keys.icv_length:
        raise InputError(f"{len(data)} octets are less than an IV and an ICV")
    iv, rest, aad = data[:size], data[size:], head
    if keys.integrity is not None:
        covered, icv = data[: -keys.icv_length], data[-keys.icv_length :]
        if not keys.integrity.verify(keys.integrity_key, head + covered, icv):
            raise InputError("the ICV is wrong: other keys, or an altered message")
        rest, aad = covered[size:], b""
    try:
        return keys.cipher.decrypt(keys.encryption_key, iv, rest, aad)
    except IntegrityError as error:
        raise InputError(f"the SK payload does not open: {error}") from None
