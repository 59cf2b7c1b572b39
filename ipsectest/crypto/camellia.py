"""Camellia in CTR and CCM mode (RFC 5529): the library has the block cipher and CBC only."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import Camellia
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.constant_time import bytes_eq

_BLOCK = 16


def _xor(left: bytes, right: bytes) -> bytes:
    size = len(left)
    return (int.from_bytes(left, "big") ^ int.from_bytes(right[:size], "big")).to_bytes(size, "big")


def camellia_ctr(key: bytes, counter_block: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt data with the key stream that starts at counter_block (16 octets)."""
    if len(counter_block) != _BLOCK:
        raise ValueError(f"a counter block has 16 octets, not {len(counter_block)}")
    first = int.from_bytes(counter_block, "big")
    blocks = -(-len(data) // _BLOCK)
    counters = b"".join(((first + i) % (1 << 128)).to_bytes(_BLOCK, "big") for i in range(blocks))
    stream = Cipher(Camellia(key), modes.ECB()).encryptor().update(counters)  # noqa: S305  # counters never repeat
    return _xor(data, stream)


class CamelliaCcm:
    """CCM (RFC 3610) over Camellia with an 11-octet nonce, as RFC 5529 takes from RFC 4309."""

    __slots__ = ("_key", "_tag_length")

    def __init__(self, key: bytes, tag_length: int) -> None:
        self._key = key
        self._tag_length = tag_length

    def encrypt(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Ciphertext || tag."""
        return camellia_ctr(self._key, _counter(nonce, 1), plaintext) + self._tag(nonce, plaintext, aad)

    def decrypt(self, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """Plaintext; InvalidTag when the tag does not match, ValueError when lengths do not fit."""
        if len(ciphertext) < self._tag_length:
            raise InvalidTag
        body, tag = ciphertext[: -self._tag_length], ciphertext[-self._tag_length :]
        plaintext = camellia_ctr(self._key, _counter(nonce, 1), body)
        if not bytes_eq(tag, self._tag(nonce, plaintext, aad)):
            raise InvalidTag
        return plaintext

    def _tag(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        width = 15 - len(nonce)
        flags = 0x40 * bool(aad) | (self._tag_length - 2) // 2 << 3 | width - 1
        blocks = bytes([flags]) + nonce + len(plaintext).to_bytes(width, "big")
        if aad:
            blocks += _padded(len(aad).to_bytes(2, "big") + aad)
        blocks += _padded(plaintext)
        chained = Cipher(Camellia(self._key), modes.CBC(bytes(_BLOCK))).encryptor().update(blocks)
        return camellia_ctr(self._key, _counter(nonce, 0), chained[-_BLOCK:])[: self._tag_length]


def _counter(nonce: bytes, number: int) -> bytes:
    width = 15 - len(nonce)
    return bytes([width - 1]) + nonce + number.to_bytes(width, "big")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)
