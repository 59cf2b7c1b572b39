"""Block-cipher MACs over AES-128: XCBC (RFC 3566) and CMAC (RFC 4493), and GMAC as a MAC."""

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

_BLOCK = 16


def aes_cmac(key: bytes, data: bytes) -> bytes:
    """AES-CMAC: 16 octets."""
    mac = CMAC(AES(key))
    mac.update(data)
    return mac.finalize()


def aes_xcbc(key: bytes, data: bytes) -> bytes:
    """AES-XCBC-MAC under a 16-octet key: 16 octets (RFC 3566 section 4)."""
    subkeys = Cipher(AES(key), modes.ECB()).encryptor().update(b"\1" * 16 + b"\2" * 16 + b"\3" * 16)  # noqa: S305  # key derivation of RFC 3566
    full = max(len(data) - 1, 0) // _BLOCK * _BLOCK
    last, whiten = data[full:], subkeys[16:32]
    if len(last) < _BLOCK:
        last, whiten = last + b"\x80" + bytes(_BLOCK - 1 - len(last)), subkeys[32:]
    last = (int.from_bytes(last, "big") ^ int.from_bytes(whiten, "big")).to_bytes(_BLOCK, "big")
    chain = Cipher(AES(subkeys[:16]), modes.CBC(bytes(_BLOCK))).encryptor()
    return chain.update(data[:full] + last)[-_BLOCK:]


def aes_gmac(key: bytes, nonce: bytes, data: bytes) -> bytes:
    """AES-GMAC tag of 16 octets under a 12-octet nonce."""
    return AESGCM(key).encrypt(nonce, b"", data)
