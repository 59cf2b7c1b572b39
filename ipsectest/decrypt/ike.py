"""Encrypted IKEv2 messages of a capture, opened with the keys of their SA (RFC 7296 section 3.14, RFC 7383)."""

from collections import OrderedDict
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field, replace

from ipsectest.base.suites import TransformSpec
from ipsectest.crypto import Cipher, Integrity, IntegrityError, UnsupportedAlgorithmError, cipher, integrity
from ipsectest.decrypt.keys.model import IkeKeys
from ipsectest.wire import SK, SKF, Anomaly, Message, Payload, build_message, parse_message, parse_payloads

MOST_PARTIAL = 256
"""Fragmented messages that are collected at once; the oldest is given up for a new one."""
MOST_OF_ONE = 64
"""Keys of one IKE SA, which are tried in turn: RFC 9370 changes them seven times."""
MOST_UNUSABLE = 1000
MOST_FRAGMENTS = 1024
MOST_OCTETS = 1 << 18
"""Of one fragmented message: four times what fits into a datagram."""
_NO_INTEG = 0


@dataclass(slots=True)
class Opened:
    """What became of one datagram with an IKE message."""

    message: Message
    """As captured; for the last fragment of a message that of this fragment."""
    payloads: list[Payload] = field(default_factory=list)
    """All payloads, encrypted ones in clear where they could be opened."""
    anomalies: tuple[Anomaly, ...] = ()
    failure: str = ""
    """Why its encrypted payload is closed still."""
    is_encrypted: bool = False
    keys: IkeKeys | None = None
    """The keys that opened it."""
    decrypted: int = 0
    """Octets that were encrypted."""

    @property
    def is_clear(self) -> bool:
        """Whether nothing encrypted is left."""
        return not self.failure

    def rebuilt(self) -> bytes:
        """The message with its payloads in clear, as Wireshark and ``parse_message`` read it without any keys."""
        if not self.is_encrypted or self.failure:
            return self.message.raw
        one = self.message
        return build_message(
            Message(
                one.initiator_spi, one.responder_spi, one.exchange_type, one.flags, one.message_id,
                self.payloads, one.major, one.minor,
            )
        )  # fmt: skip


@dataclass(slots=True)
class _Suite:
    """Keys with the algorithms they are for."""

    keys: IkeKeys
    cipher: Cipher
    integrity: Integrity | None

    @property
    def icv_length(self) -> int:
        return self.integrity.icv_length if self.integrity else self.keys.unchecked_icv

    def decrypt(self, aad: bytes, data: bytes, *, from_initiator: bool) -> bytes:
        """The payload chain in the data of SK or SKF, padding off. IntegrityError if they cannot be genuine."""
        key, key_a = (self.keys.sk_ei, self.keys.sk_ai) if from_initiator else (self.keys.sk_er, self.keys.sk_ar)
        start, end = self.cipher.iv_length, len(data) - self.icv_length
        if end < start:
            raise IntegrityError("shorter than IV and ICV")
        if self.integrity and not self.integrity.verify(key_a, aad + data[:end], data[end:]):
            raise IntegrityError("ICV mismatch")
        plaintext = self.cipher.decrypt(key, data[:start], data[start:end], aad if self.cipher.is_aead else b"")
        if not plaintext or plaintext[-1] >= len(plaintext):
            raise IntegrityError("Pad Length beyond the plaintext")
        return plaintext[: -1 - plaintext[-1]]


@dataclass(slots=True)
class _Partial:
    """A fragmented message on its way."""

    total: int
    first: int = 0
    parts: dict[int, bytes] = field(default_factory=dict)


_PartialKey = tuple[bytes, bytes, int, int, bool, bool]


class IkeDatabase:
    """IKE SAs by their SPIs; several keys for one SA (RFC 9370 changes them on the way) are tried in turn."""

    def __init__(self, keys: Iterable[IkeKeys] = ()) -> None:
        self.unusable: list[tuple[IkeKeys, str]] = []
        """Keys with the reason why they open nothing."""
        self._suites: dict[tuple[bytes, bytes], list[_Suite]] = {}
        self._partial: OrderedDict[_PartialKey, _Partial] = OrderedDict()
        for one in keys:
            self.add(one)

    def add(self, keys: IkeKeys) -> bool:
        """Take keys into use; whether they are new and can be used."""
        try:
            suite = _suite(keys)
        except (UnsupportedAlgorithmError, ValueError) as error:
            if len(self.unusable) < MOST_UNUSABLE:
                self.unusable.append((keys, str(error)))
            return False
        suites = self._suites.setdefault((keys.spi_i, keys.spi_r), [])
        if any(replace(one.keys, origin=keys.origin) == keys for one in suites):
            return False
        suites.append(suite)
        del suites[:-MOST_OF_ONE]
        return True

    def knows(self, spi_i: bytes, spi_r: bytes) -> bool:
        """Whether there are keys for an IKE SA."""
        return (spi_i, spi_r) in self._suites

    def copy(self) -> "IkeDatabase":
        """Another one with the same keys and fragments."""
        made = IkeDatabase()
        made.unusable = [*self.unusable]
        made._suites = {spis: [*suites] for spis, suites in self._suites.items()}
        made._partial = deepcopy(self._partial)
        return made

    def open(self, octets: bytes) -> Opened | None:
        """One message without its non-ESP marker; None for a fragment whose message is not complete yet. No raise."""
        message = parse_message(octets)
        last = message.payloads[-1] if message.payloads else None
        if not isinstance(last, (SK, SKF)):
            return Opened(message, list(message.payloads), message.anomalies)
        clear = list(message.payloads[:-1])
        suites = self._suites.get((message.initiator_spi, message.responder_spi), [])
        if not suites:
            return Opened(message, clear, message.anomalies, "no keys for this IKE SA", is_encrypted=True)
        data = bytes(last.data)
        at = message.raw.rfind(data) if data else len(message.raw)
        why = ""
        for suite in reversed(suites):  # keys of later exchanges are in use longer
            try:
                chain = suite.decrypt(message.raw[:at], data, from_initiator=message.from_initiator)
            except (IntegrityError, ValueError) as error:
                why = str(error) or "ICV mismatch"
                continue
            if isinstance(last, SKF):
                return self._collect(message, last, chain, suite.keys)
            return _opened(message, clear, last.first, chain, suite.keys)
        return Opened(message, clear, message.anomalies, f"{why}: wrong key or damaged", is_encrypted=True)

    def _collect(self, message: Message, fragment: SKF, chain: bytes, keys: IkeKeys) -> Opened | None:
        """Enter a fragment, in whatever order they come (RFC 7383 section 2.6)."""
        place = (
            message.initiator_spi, message.responder_spi, message.exchange_type, message.message_id,
            message.is_response, message.from_initiator,
        )  # fmt: skip
        number, total = fragment.fragment, fragment.total
        if not 1 <= number <= total <= MOST_FRAGMENTS:
            text = f"fragment {number} of {total}"
            return Opened(message, [], message.anomalies, text, is_encrypted=True, keys=keys)
        partial = self._partial.get(place)
        if partial is None or total > partial.total:  # refragmented into smaller ones: begin anew
            partial = self._partial[place] = _Partial(total)
        elif total < partial.total:
            return None
        self._partial.move_to_end(place)
        while len(self._partial) > MOST_PARTIAL:
            self._partial.popitem(last=False)
        partial.parts.setdefault(number, chain)
        if sum(map(len, partial.parts.values())) > MOST_OCTETS:
            del self._partial[place]
            return Opened(message, [], message.anomalies, "too long a message", is_encrypted=True, keys=keys)
        if number == 1:
            partial.first = fragment.first
        if len(partial.parts) < total:
            return None
        del self._partial[place]
        whole = b"".join(partial.parts[n] for n in range(1, total + 1))
        return _opened(message, [], partial.first, whole, keys)


def _opened(message: Message, clear: list[Payload], first: int, chain: bytes, keys: IkeKeys) -> Opened:
    inner = parse_payloads(first, chain)
    return Opened(
        message, [*clear, *inner.items], (*message.anomalies, *inner.anomalies),
        is_encrypted=True, keys=keys, decrypted=len(chain),
    )  # fmt: skip


def _suite(keys: IkeKeys) -> _Suite:
    """The algorithms of keys, whose lengths are checked. Raises ValueError and UnsupportedAlgorithmError."""
    algorithm = cipher(keys.encryption.id, keys.encryption.key_length)
    authenticator = _integrity(keys.integrity)
    if algorithm.is_aead and authenticator:
        raise ValueError("an AEAD cipher takes no integrity algorithm beside it")
    for name, octets, wanted in (
        ("SK_ei", keys.sk_ei, algorithm.keymat_length),
        ("SK_er", keys.sk_er, algorithm.keymat_length),
        ("SK_ai", keys.sk_ai, authenticator.key_length if authenticator else 0),
        ("SK_ar", keys.sk_ar, authenticator.key_length if authenticator else 0),
    ):
        if len(octets) != wanted and not (wanted == 0 and not octets):
            raise ValueError(f"{name} has {len(octets)} octets, the algorithm takes {wanted}")
    return _Suite(keys, algorithm, authenticator)


def _integrity(spec: TransformSpec | None) -> Integrity | None:
    return integrity(spec.id) if spec and spec.id != _NO_INTEG else None
