"""Salts that a log left out (``KeyRing.without_salt``), out of the messages of a capture: AES-GCM, full ICV."""

from collections.abc import Iterable
from dataclasses import replace

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.crypto.gcm_salts import gcm_salt
from ipsectest.decrypt.keys.model import IkeKeys
from ipsectest.wire import SK, SKF, parse_message

_IV = 8
_UNKNOWN = bytes(4)


class Salts:
    """The IKE SAs that wait for a salt."""

    def __init__(self, keys: Iterable[IkeKeys]) -> None:
        self._waiting: dict[tuple[bytes, bytes], IkeKeys] = {}
        self._found: dict[tuple[bytes, bytes], dict[bool, bytes]] = {}
        self._done: set[tuple[bytes, bytes]] = set()
        self.add(keys)

    def add(self, keys: Iterable[IkeKeys]) -> None:
        """More IKE SAs; of those that are known already nothing changes."""
        for one in keys:
            spis = one.spi_i, one.spi_r
            if one.encryption.id == Encr.ENCR_AES_GCM_16 and spis not in self._done:
                self._waiting.setdefault(spis, one)

    def offer(self, octets: bytes) -> IkeKeys | None:
        """Keys with what this message (without non-ESP marker) told anew; a salt not known yet is zero. No raise.

        To be asked before the message is opened: the keys open it. When both directions are known the SA waits no more.
        """
        if len(octets) < 28:
            return None
        spis = octets[:8], octets[8:16]
        keys = self._waiting.get(spis)
        if keys is None:
            return None
        message = parse_message(octets)
        last = message.payloads[-1] if message.payloads else None
        known = self._found.setdefault(spis, {})
        role = message.from_initiator
        if not isinstance(last, SK | SKF) or role in known:
            return None
        data = bytes(last.data)
        at = message.raw.rfind(data)
        salt = gcm_salt(keys.sk_ei if role else keys.sk_er, data[:_IV], data[_IV:], message.raw[:at])
        if salt is None:
            return None
        known[role] = salt
        if len(known) == 2:
            self._done.add(spis)
            del self._waiting[spis]
            del self._found[spis]
        return replace(
            keys, sk_ei=keys.sk_ei + known.get(True, _UNKNOWN), sk_er=keys.sk_er + known.get(False, _UNKNOWN)
        )
