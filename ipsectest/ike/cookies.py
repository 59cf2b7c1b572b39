"""Stateless cookies against floods of IKE_SA_INIT requests (RFC 7296 section 2.6)."""

import hashlib
import hmac

from ipsectest.base.addresses import Address
from ipsectest.base.clock import Instant, RandomBytes
from ipsectest.base.iana import NotifyType
from ipsectest.wire import Message, Nonce, Notify

SECRET_LIFETIME = 120.0
"""Seconds after which the secret changes; the one before is still accepted for as long."""
MIN_LENGTH, MAX_LENGTH = 1, 64


class CookieJar:
    """Makes and recognises cookies: <version of secret> | HMAC(secret, Ni | IPi | SPIi)."""

    def __init__(self, random: RandomBytes) -> None:
        self._random = random
        self._version = 0
        self._secrets: dict[int, bytes] = {}
        self._changed: Instant | None = None

    def bake(self, request: Message, source: Address, now: Instant) -> Notify:
        """The COOKIE notify for a request."""
        self._rotate(now)
        return Notify(NotifyType.COOKIE, self._cookie(self._version, request, source))

    def recognises(self, request: Message, source: Address, now: Instant) -> bool:
        """Whether the request begins with a cookie that we made for it."""
        self._rotate(now)
        cookie = request.notify(NotifyType.COOKIE)
        if cookie is None or not cookie.data or cookie.data[0] not in self._secrets:
            return False
        return hmac.compare_digest(cookie.data, self._cookie(cookie.data[0], request, source))

    def _cookie(self, version: int, request: Message, source: Address) -> bytes:
        nonce = request.get(Nonce)
        octets = (nonce.data if nonce else b"") + source.host.encode() + request.initiator_spi
        return bytes([version]) + hmac.digest(self._secrets[version], octets, hashlib.sha256)

    def _rotate(self, now: Instant) -> None:
        if self._changed is None or now - self._changed >= SECRET_LIFETIME:
            previous = self._version
            self._version = (previous + 1) % 256
            kept = {previous: self._secrets[previous]} if previous in self._secrets else {}
            self._secrets = {**kept, self._version: self._random(32)}
            self._changed = now


def is_valid(cookie: bytes) -> bool:
    """Whether an initiator may echo it: 1 to 64 octets (RFC 7296 section 2.6)."""
    return MIN_LENGTH <= len(cookie) <= MAX_LENGTH
