"""The salt of an AES-GCM key, out of one sealed message, if the rest of the key is known.

NIST SP 800-38D: the ICV is GHASH(H; AAD, ciphertext) XOR E(K, J0), and J0 is salt, explicit IV and a counter of 1
(RFC 4106 section 4). GHASH needs the key only, so J0 comes out by decryption of one block, and IV and counter in it
prove it. This takes the full ICV of 16 octets.
"""

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES

_BLOCK = 16
_SALT, _IV = 4, 8
_FIRST = (1).to_bytes(4, "big")
_ANY = bytes(12)


def gcm_salt(key: bytes, iv: bytes, sealed: bytes, aad: bytes) -> bytes | None:
    """The 4 octets; None if they are not of one message. ``key`` is without salt, ``sealed`` with ICV."""
    if len(key) not in {16, 24, 32} or len(iv) != _IV or len(sealed) < _BLOCK:
        return None
    ciphertext, icv = sealed[:-_BLOCK], sealed[-_BLOCK:]
    cipher = AESGCM(key)
    # A plaintext with this ciphertext under another nonce has the same GHASH, below another block of key stream.
    stream = cipher.encrypt(_ANY, bytes(len(ciphertext)), aad)[:-_BLOCK]
    other = cipher.encrypt(_ANY, _xor(stream, ciphertext), aad)[-_BLOCK:]
    block = Cipher(AES(key), modes.ECB()).encryptor()  # noqa: S305 - one block, as GCM itself uses it
    ghash = _xor(other, block.update(_ANY + _FIRST))
    j0 = Cipher(AES(key), modes.ECB()).decryptor().update(_xor(icv, ghash))  # noqa: S305
    return j0[:_SALT] if j0[_SALT:] == iv + _FIRST else None


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")
