"""Encrypted IKEv1 messages of a capture: phase 1 gives cipher, hash and IVs, a key file the key.

CBC goes on from message to message (RFC 2409 appendix B): within an exchange the IV is the last block of ciphertext
before, and each exchange after phase 1 begins with a hash of the last block of that and its own message ID.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ipsectest.base.iana_ikev1 import (
    DEFAULT_KEY_BITS,
    PHASE1_CIPHERS,
    PHASE1_HASHES,
    ExchangeV1,
    PayloadV1,
    Phase1Attribute,
)
from ipsectest.crypto import Cipher, IntegrityError, UnsupportedAlgorithmError, cipher, prf
from ipsectest.crypto.ikev1 import cipher_key, first_iv, later_iv
from ipsectest.decrypt.bounded import Bounded
from ipsectest.decrypt.ikev1.fragments import FragmentsV1
from ipsectest.decrypt.ikev1.messages import Isakmp, first_part, is_ikev1, parse, proposals, walk
from ipsectest.decrypt.ikev1.opened import OpenedV1
from ipsectest.decrypt.ikev1.skeyids import Phase1, derive
from ipsectest.decrypt.keys.model import IkeV1Keys
from ipsectest.decrypt.shared_secrets import SharedSecrets

MOST_SAS = 4096
MOST_DERIVED = 100_000
MOST_EXCHANGES = 64
"""Of one phase 1 SA, that are followed at once."""
MOST_REMEMBERED = 4096
"""Messages that a retransmission is known by."""
MOST_OCTETS = 1 << 21
"""Of remembered messages."""
_LONGEST = {PayloadV1.KE: 2048, PayloadV1.NONCE: 256}
"""Octets of values: twice MODP-8192, and RFC 2409 section 5 for nonces."""
_BLOCKS = 8
_PADDING = 256
_PHASE1 = {ExchangeV1.BASE, ExchangeV1.MAIN_MODE, ExchangeV1.AGGRESSIVE_MODE}
_UNANSWERED = bytes(8)
_NO_PHASE1 = "the capture has not all of its phase 1, which tells cipher and IVs"
_NOT_SO = "wrong key, or a message before it is missing, whose last block is its IV"


class _ClosedError(ValueError):
    """Why a message stays closed."""


@dataclass(slots=True)
class _Sa:
    """One phase 1 SA, as far as the capture tells it."""

    cipher: Cipher | None = None
    why: str = _NO_PHASE1
    """Why there is no cipher."""
    prf: int = 0
    hash: str = ""
    publics: list[bytes] = field(default_factory=list)
    """The initiator's and the responder's, in the order of their coming."""
    nonces: list[bytes] = field(default_factory=list)
    """Likewise."""
    method: int = 0
    """Of authentication."""
    derived: list[IkeV1Keys] | None = None
    """What follows from the shared secret, if it is known; None: not asked yet."""
    blocks: deque[bytes] = field(default_factory=lambda: deque(maxlen=_BLOCKS))
    """First IV and last blocks of the messages of phase 1, the newest first."""
    exchanges: OrderedDict[int, tuple[bytes, ...]] = field(default_factory=OrderedDict)
    """Message ID -> last blocks, the newest first."""

    def learn(self, message: Isakmp) -> None:
        """Take what an unencrypted message of phase 1 tells."""
        chosen = first_part(message.parts, PayloadV1.SA)
        if chosen and message.cookie_r != _UNANSWERED and self.cipher is None:
            self._settle(chosen)
        for kind, values in ((PayloadV1.KE, self.publics), (PayloadV1.NONCE, self.nonces)):
            value = first_part(message.parts, kind)
            if value and value not in values and len(values) < 2 and len(value) <= _LONGEST[kind]:
                values.append(value)
        if self.cipher and len(self.publics) == 2 and not self.blocks:
            self.blocks.append(first_iv(self.hash, b"".join(self.publics), self.cipher.block_length))

    def _settle(self, body: bytes) -> None:
        """The responder's choice."""
        found = proposals(body)
        attributes = found[0].transforms[0].attributes if found and found[0].transforms else {}
        number = attributes.get(Phase1Attribute.ENCRYPTION, 0)
        digest = attributes.get(Phase1Attribute.HASH, 0)
        self.method = attributes.get(Phase1Attribute.AUTHENTICATION, 0)
        if number not in PHASE1_CIPHERS or digest not in PHASE1_HASHES:
            self.why = f"encryption {number} with hash {digest} of IKEv1 is not known here"
            return
        encryption = PHASE1_CIPHERS[number]
        bits = attributes.get(Phase1Attribute.KEY_LENGTH) or DEFAULT_KEY_BITS.get(encryption)
        try:
            self.cipher = cipher(encryption, bits)
        except UnsupportedAlgorithmError as error:
            self.why = str(error)
        self.prf, self.hash = PHASE1_HASHES[digest]

    def ivs(self, message: Isakmp) -> Iterator[bytes]:
        """IVs that may be a message's, the likeliest first."""
        if not message.message_id:
            yield from self.blocks
            return
        yield from self.exchanges.get(message.message_id, ())
        yield from (later_iv(self.hash, block, message.message_id) for block in self.blocks)

    def passed(self, message: Isakmp, block: int) -> None:
        """Remember the last block of an encrypted message."""
        last = message.body[-block:]
        if message.message_id:
            self.exchanges[message.message_id] = (last, *self.exchanges.get(message.message_id, ()))[:_BLOCKS]
            if len(self.exchanges) > MOST_EXCHANGES:
                self.exchanges.popitem(last=False)
        elif message.exchange in _PHASE1:
            self.blocks.appendleft(last)

    def key(self, keys: IkeV1Keys) -> bytes:
        """The cipher key; ValueError for one that does not fit."""
        assert self.cipher is not None
        wanted = self.cipher.key_length
        if keys.encryption_key:
            if len(keys.encryption_key) != wanted:
                raise _ClosedError(f"its key has {len(keys.encryption_key)} octets, the cipher takes {wanted}")
            return keys.encryption_key
        if not keys.skeyid_e:
            raise _ClosedError("its key is not known: a pre-shared key needs the shared secret besides")
        return cipher_key(prf(self.prf), keys.skeyid_e, wanted)


class Ikev1Database:
    """Phase 1 SAs by their cookies."""

    def __init__(self, keys: Iterable[IkeV1Keys] = (), secrets: SharedSecrets | None = None) -> None:
        self.derived: list[IkeV1Keys] = []
        """Keys that follow from shared secrets, once they opened something."""
        self._told: set[IkeV1Keys] = set()
        self._secrets = secrets or SharedSecrets()
        self._keys: dict[bytes, list[IkeV1Keys]] = {}
        for one in keys:
            self.add(one)
        self._sas: OrderedDict[tuple[bytes, bytes], _Sa] = OrderedDict()
        self._first: Bounded[bytes, Isakmp] = Bounded(MOST_SAS, MOST_OCTETS)
        self._done: Bounded[bytes, OpenedV1] = Bounded(MOST_REMEMBERED, MOST_OCTETS)
        self._fragments = FragmentsV1()

    def add(self, keys: IkeV1Keys) -> None:
        """Take keys into use, once."""
        known = self._keys.setdefault(keys.cookie_i, [])
        if keys not in known:
            known.append(keys)

    def knows(self, cookie: bytes) -> bool:
        """Whether there are keys for the SA of an initiator's cookie."""
        return cookie in self._keys

    def open(self, octets: bytes, source: str) -> OpenedV1 | None:
        """One message (``messages.is_ikev1``) and its sender; None for a fragment while others lack. No raise."""
        message = parse(octets)
        if not message.is_encrypted and first_part(message.parts, PayloadV1.FRAGMENT):
            whole = self._fragments.take(message, source)
            if whole is None or not is_ikev1(whole):
                return None
            message = parse(whole)
        if not message.is_encrypted:
            self._learn(message)
            return OpenedV1(message, message.parts)
        again = self._done.get(message.data)
        if again:
            return again
        opened = self._open(message)
        self._done.put(message.data, opened, len(message.data))
        return opened

    def _learn(self, message: Isakmp) -> None:
        if message.exchange not in _PHASE1:
            return
        if message.cookie_r == _UNANSWERED:
            self._first.put(message.cookie_i, message, len(message.data))
            return
        name = message.cookie_i, message.cookie_r
        if name not in self._sas:
            self._sas[name] = _Sa()
            while len(self._sas) > MOST_SAS:
                self._sas.popitem(last=False)
            if first := self._first.get(message.cookie_i):
                self._sas[name].learn(first)
        self._sas[name].learn(message)

    def _open(self, message: Isakmp) -> OpenedV1:
        sa = self._sas.get((message.cookie_i, message.cookie_r), _Sa())
        candidates = [*self._keys.get(message.cookie_i, ()), *self._keys.get(b"", ())]
        candidates = [*self._derived(message, sa, candidates), *candidates]
        if sa.cipher is None:
            return OpenedV1(message, (), failure=sa.why if candidates else "no keys for this IKE SA")
        block = sa.cipher.block_length
        if not message.body or len(message.body) % block:
            return OpenedV1(message, (), failure=f"{len(message.body)} octets are no whole blocks")
        why = _NOT_SO if sa.blocks else _NO_PHASE1
        found = None
        for keys in candidates:
            try:
                found = _try(message, sa, keys)
            except _ClosedError as error:
                why = str(error)
            if found:
                if keys in (sa.derived or ()) and keys not in self._told and len(self._told) < MOST_DERIVED:
                    self._told.add(keys)
                    self.derived.append(keys)
                break
        sa.passed(message, block)
        return found or OpenedV1(message, (), failure=why if candidates else "no keys for this IKE SA")

    def _derived(self, message: Isakmp, sa: _Sa, keys: list[IkeV1Keys]) -> list[IkeV1Keys]:
        """Keys of an SA that follow from the shared secret of its phase 1."""
        if sa.derived is None and sa.cipher and len(sa.publics) == len(sa.nonces) == 2:
            secret = self._secrets.find(sa.publics[0], sa.publics[1])
            phase1 = Phase1(sa.method, sa.prf, b"".join(sa.nonces), (message.cookie_i, message.cookie_r))
            made = derive(phase1, secret, keys) if secret else ()
            sa.derived = [replace(one, encryption_key=sa.key(one)) for one in made]
        return sa.derived or []


def _try(message: Isakmp, sa: _Sa, keys: IkeV1Keys) -> OpenedV1 | None:
    """The message opened with one key and whatever IV gives a chain of payloads."""
    assert sa.cipher is not None
    context = sa.cipher.bind(sa.key(keys))
    for iv in sa.ivs(message):
        try:
            plain = context.decrypt(iv, message.body)
        except (IntegrityError, ValueError):
            continue
        parts, end = walk(message.first, plain)
        if end and len(plain) - end < _PADDING:
            return OpenedV1(message, parts, plain[:end], keys=keys, prf=sa.prf)
    return None
