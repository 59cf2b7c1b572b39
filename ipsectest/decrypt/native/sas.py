"""SAs of a capture in the table of ``esp.c``: put there once they have opened a packet, and kept in step."""

import ctypes
from collections.abc import Iterable
from typing import Any

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.iana import IntegrityAlgorithm as Integ
from ipsectest.base.iana import ProtocolId
from ipsectest.decrypt.native.library import COMMENT_PART, Sa, Table
from ipsectest.decrypt.sas import CapturedSa
from ipsectest.wire.datagrams import host_octets

_DIGESTS = {
    Integ.AUTH_HMAC_MD5_96: b"MD5",
    Integ.AUTH_HMAC_SHA1_96: b"SHA1",
    Integ.AUTH_HMAC_SHA2_256_128: b"SHA2-256",
    Integ.AUTH_HMAC_SHA2_384_192: b"SHA2-384",
    Integ.AUTH_HMAC_SHA2_512_256: b"SHA2-512",
}
_CIPHERS = {
    Encr.ENCR_AES_CBC: b"AES-%d-CBC",
    Encr.ENCR_AES_CTR: b"AES-%d-CTR",
    Encr.ENCR_AES_GCM_8: b"AES-%d-GCM",
    Encr.ENCR_AES_GCM_12: b"AES-%d-GCM",
    Encr.ENCR_AES_GCM_16: b"AES-%d-GCM",
    Encr.ENCR_CAMELLIA_CBC: b"CAMELLIA-%d-CBC",
    Encr.ENCR_3DES: b"DES-EDE3-CBC",
    Encr.ENCR_CHACHA20_POLY1305: b"ChaCha20-Poly1305",
}
_FIRST_SLOTS = 64


class NativeTable:
    """Room for SAs that doubles when it is full; ``close`` frees what OpenSSL holds."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._members: list[CapturedSa] = []
        self._numbers: dict[int, int] = {}  # id of a CapturedSa: its place
        self._refused: set[int] = set()
        self.table = Table()
        self._sas: ctypes.Array[Sa] = (Sa * 0)()
        self._grow(_FIRST_SLOTS)

    def follow(self, sa: CapturedSa, source: str, destination: str, comment: tuple[str, str]) -> None:
        """Let the fast path take the packets that follow the one that ``sa`` opened last.

        ``comment`` is what to write to each packet, before and behind its sequence number; empty texts: nothing.
        """
        number = self._numbers.get(id(sa))
        if number is None:
            self._admit(sa, source, destination, comment)
        self.keep_in_step(sa)

    def keep_in_step(self, sa: CapturedSa) -> None:
        """Let an SA that is followed go on behind its highest number."""
        number = self._numbers.get(id(sa))
        if number is not None:
            self._sas[number].next_sequence = sa.sequence.highest + 1

    def collect(self) -> None:
        """Add what the fast path has seen to the records of the SAs."""
        for place in range(self.table.touched_count):
            number = self._touched[place]
            native = self._sas[number]
            self._members[number].passed(native.packets, native.octets, native.first, native.last)
            native.packets = native.octets = 0
        self.table.touched_count = 0

    def close(self) -> None:
        """Free the contexts with the keys."""
        for number in range(len(self._members)):
            self._library.sa_close(ctypes.byref(self._sas[number]))
        self._members.clear()

    def _admit(self, sa: CapturedSa, source: str, destination: str, comment: tuple[str, str]) -> None:
        before, behind = (text.encode() for text in comment)
        if id(sa) in self._refused or len(sa.keys.spi) != 4 or max(len(before), len(behind)) > COMMENT_PART:
            return
        native = _native(sa, source, destination)
        if native is None or not self._open(native, sa):
            self._refused.add(id(sa))
            return
        for place, text in ((native.before, before), (native.behind, behind)):
            ctypes.memmove(place, text, len(text))
        native.before_length, native.behind_length = len(before), len(behind)
        number = len(self._members)
        if 2 * (number + 1) > self.table.size:  # the fast path's counts were collected before
            self._grow(2 * self.table.size)
        self._sas[number] = native
        self._members.append(sa)
        self._numbers[id(sa)] = number
        self._library.table_add(ctypes.byref(self.table), number)

    def _open(self, native: Sa, sa: CapturedSa) -> bool:
        keys, association = sa.keys, sa.association
        encryption = keys.encryption
        if encryption is None:
            return False
        name = _CIPHERS[Encr(encryption.id)]
        cipher = name % encryption.key_length if b"%" in name else name
        secret = keys.encryption_key[: association.cipher.key_length]
        digest = _DIGESTS[Integ(keys.integrity.id)] if keys.integrity and association.authenticator else None
        key = keys.integrity_key
        return bool(self._library.sa_open(ctypes.byref(native), cipher, secret, digest, key, len(key)))

    def _grow(self, size: int) -> None:
        sas = (Sa * (size // 2))()
        for number in range(len(self._members)):
            sas[number] = self._sas[number]
        self._sas = sas
        self._slots = (ctypes.c_uint32 * size)()
        self._touched = (ctypes.c_uint32 * (size // 2))()
        self.table.sas = ctypes.cast(sas, ctypes.POINTER(Sa))
        self.table.slots = ctypes.cast(self._slots, ctypes.POINTER(ctypes.c_uint32))
        self.table.touched = ctypes.cast(self._touched, ctypes.POINTER(ctypes.c_uint32))
        self.table.size = size
        for number in range(len(self._members)):
            self._library.table_add(ctypes.byref(self.table), number)


def _native(sa: CapturedSa, source: str, destination: str) -> Sa | None:
    """The layout of an SA, None for algorithms that the fast path lacks."""
    association, keys = sa.association, sa.keys
    encryption, authenticator = keys.encryption, association.authenticator
    known = (
        keys.protocol == ProtocolId.ESP
        and encryption is not None
        and encryption.id in _CIPHERS
        and not keys.unchecked_icv
        and (authenticator is None or (keys.integrity is not None and keys.integrity.id in _DIGESTS))
    )
    if not known:
        return None
    native = Sa()
    ends: Iterable[bytes] = [host_octets(host).ljust(16, b"\0") for host in (source, destination)]
    native.key[:] = b"".join(ends) + keys.spi
    native.is_ipv6 = ":" in source
    cipher = association.cipher
    salt = keys.encryption_key[cipher.key_length :]
    native.salt[:] = salt.ljust(4, b"\0")
    native.salt_length, native.iv_length, native.block_length = len(salt), cipher.iv_length, cipher.block_length
    native.icv_length = authenticator.icv_length if authenticator else cipher.icv_length
    native.esn, native.is_aead = association.esn, cipher.is_aead
    return native
