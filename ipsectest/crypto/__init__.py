"""Algorithms by IANA number: ciphers, MACs, key exchange, key derivation, signatures, certificates."""

from ipsectest.crypto.agreement import KeyExchange, KeyShare
from ipsectest.crypto.ciphers import BoundCipher, Cipher, cipher
from ipsectest.crypto.errors import IntegrityError, InvalidPublicValueError, UnsupportedAlgorithmError
from ipsectest.crypto.exchanges import key_exchange
from ipsectest.crypto.integrities import Integrity, integrity
from ipsectest.crypto.prfs import Prf, prf
from ipsectest.crypto.support import supported

__all__ = [
    "BoundCipher",
    "Cipher",
    "Integrity",
    "IntegrityError",
    "InvalidPublicValueError",
    "KeyExchange",
    "KeyShare",
    "Prf",
    "UnsupportedAlgorithmError",
    "cipher",
    "integrity",
    "key_exchange",
    "prf",
    "supported",
]
