"""CTR and CCM over any 16-octet block cipher: the library offers them for AES, Camellia needs them too."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, modes
from cryptography.hazmat.primitives.constant_time import bytes_eq

_BLOCK = 16


def ctr(algorithm: BlockCipherAlgorithm, counter_block: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt data with the key stream that starts at counter_block (16 octets)."""
    if len(counter_block) != _BLOCK:
        raise ValueError(f"a counter block has 16 octets, not {len(counter_block)}")
    first, size = int.from_bytes(counter_block, "big"), len(data)
    counters = b"".join(((first + i) % (1 << 128)).to_bytes(_BLOCK, "big") for i in range(-(-size // _BLOCK)))
    stream = Cipher(algorithm, modes.ECB()).encryptor().update(counters)  # noqa: S305  # counters never repeat
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream[:size], "big")).to_bytes(size, "big")


class Ccm:
    """CCM (RFC 3610) with the interface of the library's AESCCM; nonces of 7 to 13 octets, AAD below 65,280."""

    __slots__ = ("_algorithm", "_tag_length")

    def __init__(self, algorithm: BlockCipherAlgorithm, tag_length: int) -> None:
        self._algorithm = algorithm
        self._tag_length = tag_length

    def encrypt(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Ciphertext || tag."""
        return ctr(self._algorithm, _counter(nonce, 1), plaintext) + self._tag(nonce, plaintext, aad)

    def decrypt(self, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """Plaintext; InvalidTag when the tag does not match, ValueError when lengths do not fit."""
        if len(ciphertext) < self._tag_length:
            raise InvalidTag
        body, tag = ciphertext[: -self._tag_length], ciphertext[-self._tag_length :]
        plaintext = ctr(self._algorithm, _counter(nonce, 1), body)
        if not bytes_eq(tag, self._tag(nonce, plaintext, aad)):
            raise InvalidTag
        return plaintext

    def _tag(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        width = 15 - len(nonce)
        if len(aad) >= 0xFF00 or len(plaintext) >> 8 * width:
            raise ValueError("too long for CCM")
        flags = 0x40 * bool(aad) | (self._tag_length - 2) // 2 << 3 | width - 1
        blocks = bytes([flags]) + nonce + len(plaintext).to_bytes(width, "big")
        if aad:
            blocks += _padded(len(aad).to_bytes(2, "big") + aad)
        chain = Cipher(self._algorithm, modes.CBC(bytes(_BLOCK))).encryptor().update(blocks + _padded(plaintext))
        return ctr(self._algorithm, _counter(nonce, 0), chain[-_BLOCK:])[: self._tag_length]


def _counter(nonce: bytes, number: int) -> bytes:
    width = 15 - len(nonce)
    if not 2 <= width <= 8:
        raise ValueError(f"a CCM nonce has 7 to 13 octets, not {len(nonce)}")
    return bytes([width - 1]) + nonce + number.to_bytes(width, "big")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)
