"""Encryption algorithms (Transform Type 1) behind one interface for ESP and IKE.

A ``Cipher`` knows the sizes of an algorithm; ``bind`` gives a ``BoundCipher`` that holds the
expanded key, which an SA keeps for its lifetime. A key is what KEYMAT yields: cipher key || salt.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import Camellia, TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, modes
from cryptography.hazmat.primitives.ciphers import Cipher as Context
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.iana import name_of
from ipsectest.crypto.block_modes import Ccm, ctr
from ipsectest.crypto.errors import IntegrityError, UnsupportedAlgorithmError


class BoundCipher(ABC):
    """A cipher with its key: the context an SA keeps. ``iv`` is the IV of the wire."""

    __slots__ = ()

    @abstractmethod
    def encrypt(self, iv: bytes, plaintext: bytes, aad: bytes = b"") -> bytes:
        """Ciphertext, followed by the ICV for an AEAD. ValueError for lengths that do not fit."""

    @abstractmethod
    def decrypt(self, iv: bytes, ciphertext: bytes, aad: bytes = b"") -> bytes:
        """Plaintext of octets from the wire; IntegrityError whenever they cannot be genuine."""


# One object per algorithm: equality is identity, which keeps look-ups by cipher cheap.
@dataclass(frozen=True, slots=True, eq=False)
class Cipher:
    """Sizes of an encryption algorithm, all in octets."""

    id: int
    """Transform ID."""
    key_length: int
    """The cipher key without the salt."""
    salt_length: int
    """Implicit part of the nonce, taken from KEYMAT after the key."""
    iv_length: int
    """Explicit IV in the packet; 0 for the implicit-IV algorithms of RFC 8750."""
    block_length: int
    """Plaintext is a multiple of this (ESP aligns to 4 besides); 1 for stream modes."""
    icv_length: int
    """ICV that ends an AEAD's ciphertext; 0 for a plain cipher."""
    binder: Callable[[bytes, bytes, int], BoundCipher]
    """Makes the context from cipher key, salt and ICV length."""
    implicit_iv: bool = False
    """The 8-octet ``iv`` argument is the sequence number and not sent (RFC 8750)."""

    @property
    def is_aead(self) -> bool:
        """Whether the algorithm gives integrity itself, so that no Transform Type 3 goes with it."""
        return self.icv_length > 0

    @property
    def keymat_length(self) -> int:
        """Octets taken from KEYMAT: key and salt."""
        return self.key_length + self.salt_length

    def bind(self, key: bytes) -> BoundCipher:
        """The context for ``key`` (``keymat_length`` octets, else ValueError)."""
        if len(key) != self.keymat_length:
            raise ValueError(f"{name_of(Encr, self.id)} takes {self.keymat_length} octets of key, not {len(key)}")
        return self.binder(key[: self.key_length], key[self.key_length :], self.icv_length)

    def encrypt(self, key: bytes, iv: bytes, plaintext: bytes, aad: bytes = b"") -> bytes:
        """One-off ``bind(key).encrypt``."""
        return _bound(self, key).encrypt(iv, plaintext, aad)

    def decrypt(self, key: bytes, iv: bytes, ciphertext: bytes, aad: bytes = b"") -> bytes:
        """One-off ``bind(key).decrypt``."""
        return _bound(self, key).decrypt(iv, ciphertext, aad)


@lru_cache(maxsize=256)
def _bound(algorithm: Cipher, key: bytes) -> BoundCipher:
    return algorithm.bind(key)


class _Null(BoundCipher):
    """ENCR_NULL (RFC 2410): the identity."""

    __slots__ = ()

    def __init__(self, key: bytes, salt: bytes, icv_length: int) -> None:
        del key, salt, icv_length

    def encrypt(self, iv: bytes, plaintext: bytes, aad: bytes = b"") -> bytes:
        del iv, aad
        return plaintext

    def decrypt(self, iv: bytes, ciphertext: bytes, aad: bytes = b"") -> bytes:
        del iv, aad
        return ciphertext


class _Cbc(BoundCipher):
    """A block cipher in CBC mode (RFC 2451, 3602, 4312)."""

    __slots__ = ("_algorithm",)

    def __init__(self, algorithm: BlockCipherAlgorithm) -> None:
        self._algorithm = algorithm

    def encrypt(self, iv: bytes, plaintext: bytes, aad: bytes = b"") -> bytes:
        del aad
        context = Context(self._algorithm, modes.CBC(iv)).encryptor()
        return context.update(plaintext) + context.finalize()

    def decrypt(self, iv: bytes, ciphertext: bytes, aad: bytes = b"") -> bytes:
        del aad
        try:
            context = Context(self._algorithm, modes.CBC(iv)).decryptor()
            return context.update(ciphertext) + context.finalize()
        except ValueError as error:
            raise IntegrityError(str(error)) from error


def _aes_cbc(key: bytes, salt: bytes, icv_length: int) -> BoundCipher:
    del salt, icv_length
    return _Cbc(AES(key))


def _camellia_cbc(key: bytes, salt: bytes, icv_length: int) -> BoundCipher:
    del salt, icv_length
    return _Cbc(Camellia(key))


def _triple_des(key: bytes, salt: bytes, icv_length: int) -> BoundCipher:
    # Single DES is 3DES with three equal keys.
    del salt, icv_length
    return _Cbc(TripleDES(key if len(key) == 24 else key * 3))


class _Ctr(BoundCipher):
    """A stream from nonce || IV || block counter, which starts at 1 (RFC 3686 section 4, RFC 5529)."""

    __slots__ = ("_algorithm", "_nonce")

    def __init__(self, algorithm: BlockCipherAlgorithm, nonce: bytes) -> None:
        self._algorithm = algorithm
        self._nonce = nonce

    def encrypt(self, iv: bytes, plaintext: bytes, aad: bytes = b"") -> bytes:
        del aad
        counter_block = self._nonce + iv + b"\0\0\0\1"
        if isinstance(self._algorithm, AES):
            return Context(self._algorithm, modes.CTR(counter_block)).encryptor().update(plaintext)
        return ctr(self._algorithm, counter_block, plaintext)

    def decrypt(self, iv: bytes, ciphertext: bytes, aad: bytes = b"") -> bytes:
        try:
            return self.encrypt(iv, ciphertext, aad)
        except ValueError as error:
            raise IntegrityError(str(error)) from error


def _aes_ctr(key: bytes, salt: bytes, icv_length: int) -> BoundCipher:
    del icv_length
    return _Ctr(AES(key), salt)


def _camellia_ctr(key: bytes, salt: bytes, icv_length: int) -> BoundCipher:
    del icv_length
    return _Ctr(Camellia(key), salt)


class _Aead(BoundCipher):
    """An AEAD of the library whose tag is the whole ICV; nonce = salt || IV."""

    __slots__ = ("_aead", "_salt")

    def __init__(self, aead: AESGCM | AESCCM | ChaCha20Poly1305 | Ccm, salt: bytes) -> None:
        self._aead = aead
        self._salt = salt

    def encrypt(self, iv: bytes, plaintext: bytes, aad: bytes = b"") -> bytes:
        return self._aead.encrypt(self._salt + iv, plaintext, aad)

    def decrypt(self, iv: bytes, ciphertext: bytes, aad: bytes = b"") -> bytes:
        try:
            return self._aead.decrypt(self._salt + iv, ciphertext, aad)
        except (InvalidTag, ValueError) as error:
            raise IntegrityError("ICV mismatch") from error


def _aes_gcm_16(key: bytes, salt: bytes, icv_length: int) -> BoundCipher:
    del icv_length
    return _Aead(AESGCM(key), salt)


def _aes_ccm(key: bytes, salt: bytes, icv_length: int) -> BoundCipher:
    return _Aead(AESCCM(key, tag_length=icv_length), salt)


def _camellia_ccm(key: bytes, salt: bytes, icv_length: int) -> BoundCipher:
    return _Aead(Ccm(Camellia(key), icv_length), salt)


def _chacha20_poly1305(key: bytes, salt: bytes, icv_length: int) -> BoundCipher:
    del icv_length
    return _Aead(ChaCha20Poly1305(key), salt)


class _TruncatedGcm(BoundCipher):
    """AES-GCM with an ICV of 8 or 12 octets (RFC 4106 section 6), which AESGCM does not offer."""

    __slots__ = ("_algorithm", "_icv_length", "_salt")

    def __init__(self, key: bytes, salt: bytes, icv_length: int) -> None:
        self._algorithm = AES(key)
        self._salt = salt
        self._icv_length = icv_length

    def encrypt(self, iv: bytes, plaintext: bytes, aad: bytes = b"") -> bytes:
        context = Context(self._algorithm, modes.GCM(self._salt + iv)).encryptor()
        context.authenticate_additional_data(aad)
        ciphertext = context.update(plaintext) + context.finalize()
        return ciphertext + context.tag[: self._icv_length]

    def decrypt(self, iv: bytes, ciphertext: bytes, aad: bytes = b"") -> bytes:
        size = self._icv_length
        try:
            mode = modes.GCM(self._salt + iv, ciphertext[-size:], min_tag_length=size)
            context = Context(self._algorithm, mode).decryptor()
            context.authenticate_additional_data(aad)
            return context.update(ciphertext[:-size]) + context.finalize()
        except (InvalidTag, ValueError) as error:
            raise IntegrityError("ICV mismatch") from error


class _Gmac(BoundCipher):
    """ENCR_NULL_AUTH_AES_GMAC: the payload travels in clear; AAD, IV and payload are authenticated.

    RFC 4543 section 3: the IV is part of the authenticated data, the tag is all that GCM yields.
    """

    __slots__ = ("_gcm", "_salt")

    def __init__(self, key: bytes, salt: bytes, icv_length: int) -> None:
        del icv_length
        self._gcm = AESGCM(key)
        self._salt = salt

    def encrypt(self, iv: bytes, plaintext: bytes, aad: bytes = b"") -> bytes:
        return plaintext + self._gcm.encrypt(self._salt + iv, b"", aad + iv + plaintext)

    def decrypt(self, iv: bytes, ciphertext: bytes, aad: bytes = b"") -> bytes:
        plaintext, icv = ciphertext[:-16], ciphertext[-16:]
        try:
            self._gcm.decrypt(self._salt + iv, icv, aad + iv + plaintext)
        except (InvalidTag, ValueError) as error:
            raise IntegrityError("ICV mismatch") from error
        return plaintext


_AES_OR_CAMELLIA = frozenset({128, 192, 256})
_NO_ATTRIBUTE = frozenset({None})
_SIZES: dict[
    int, tuple[frozenset[int] | frozenset[None], int, int, int, int, Callable[[bytes, bytes, int], BoundCipher]]
] = {
    # id: allowed Key Length attributes, salt, IV, block, ICV, binder
    Encr.ENCR_DES: (_NO_ATTRIBUTE, 0, 8, 8, 0, _triple_des),
    Encr.ENCR_3DES: (_NO_ATTRIBUTE, 0, 8, 8, 0, _triple_des),
    Encr.ENCR_NULL: (_NO_ATTRIBUTE, 0, 0, 1, 0, _Null),
    Encr.ENCR_AES_CBC: (_AES_OR_CAMELLIA, 0, 16, 16, 0, _aes_cbc),
    Encr.ENCR_AES_CTR: (_AES_OR_CAMELLIA, 4, 8, 1, 0, _aes_ctr),
    Encr.ENCR_AES_CCM_8: (_AES_OR_CAMELLIA, 3, 8, 1, 8, _aes_ccm),
    Encr.ENCR_AES_CCM_12: (_AES_OR_CAMELLIA, 3, 8, 1, 12, _aes_ccm),
    Encr.ENCR_AES_CCM_16: (_AES_OR_CAMELLIA, 3, 8, 1, 16, _aes_ccm),
    Encr.ENCR_AES_GCM_8: (_AES_OR_CAMELLIA, 4, 8, 1, 8, _TruncatedGcm),
    Encr.ENCR_AES_GCM_12: (_AES_OR_CAMELLIA, 4, 8, 1, 12, _TruncatedGcm),
    Encr.ENCR_AES_GCM_16: (_AES_OR_CAMELLIA, 4, 8, 1, 16, _aes_gcm_16),
    Encr.ENCR_NULL_AUTH_AES_GMAC: (_AES_OR_CAMELLIA, 4, 8, 1, 16, _Gmac),
    Encr.ENCR_CAMELLIA_CBC: (_AES_OR_CAMELLIA, 0, 16, 16, 0, _camellia_cbc),
    Encr.ENCR_CAMELLIA_CTR: (_AES_OR_CAMELLIA, 4, 8, 1, 0, _camellia_ctr),
    Encr.ENCR_CAMELLIA_CCM_8: (_AES_OR_CAMELLIA, 3, 8, 1, 8, _camellia_ccm),
    Encr.ENCR_CAMELLIA_CCM_12: (_AES_OR_CAMELLIA, 3, 8, 1, 12, _camellia_ccm),
    Encr.ENCR_CAMELLIA_CCM_16: (_AES_OR_CAMELLIA, 3, 8, 1, 16, _camellia_ccm),
    Encr.ENCR_CHACHA20_POLY1305: (_NO_ATTRIBUTE, 4, 8, 1, 16, _chacha20_poly1305),
    Encr.ENCR_AES_CCM_8_IIV: (_AES_OR_CAMELLIA, 3, 0, 1, 8, _aes_ccm),
    Encr.ENCR_AES_GCM_16_IIV: (_AES_OR_CAMELLIA, 4, 0, 1, 16, _aes_gcm_16),
    Encr.ENCR_CHACHA20_POLY1305_IIV: (_NO_ATTRIBUTE, 4, 0, 1, 16, _chacha20_poly1305),
}
_FIXED_KEYS: dict[int, int] = {
    Encr.ENCR_DES: 8,
    Encr.ENCR_3DES: 24,
    Encr.ENCR_NULL: 0,
    Encr.ENCR_CHACHA20_POLY1305: 32,
    Encr.ENCR_CHACHA20_POLY1305_IIV: 32,
}
_IMPLICIT_IV = frozenset({Encr.ENCR_AES_CCM_8_IIV, Encr.ENCR_AES_GCM_16_IIV, Encr.ENCR_CHACHA20_POLY1305_IIV})


@cache
def cipher(encr_id: int, key_bits: int | None = None) -> Cipher:
    """The cipher of a Transform Type 1 ID and its Key Length attribute (None where there is none).

    Raises UnsupportedAlgorithmError, also for a Key Length the algorithm does not have: RFC 7296
    section 3.3.5 requires the attribute for AES and Camellia and forbids it for fixed-key ciphers.
    """
    sizes = _SIZES.get(encr_id)
    if sizes is None or key_bits not in sizes[0]:
        length = "" if key_bits is None else f" with a {key_bits}-bit key"
        raise UnsupportedAlgorithmError(f"encryption algorithm {name_of(Encr, encr_id)}{length}")
    _, salt, iv, block, icv, binder = sizes
    key = _FIXED_KEYS[encr_id] if key_bits is None else key_bits // 8
    return Cipher(encr_id, key, salt, iv, block, icv, binder, encr_id in _IMPLICIT_IV)
