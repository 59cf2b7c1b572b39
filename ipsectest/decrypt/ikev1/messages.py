"""Octets of ISAKMP -> header, payloads and proposals (RFC 2408 section 3). Nothing raises."""

from collections.abc import Iterator
from dataclasses import dataclass, field

HEADER = 28
_ENCRYPTED = 0x01
_TLV = 0x7FFF


@dataclass(frozen=True, slots=True)
class Part:
    """One payload without its generic header."""

    type: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Isakmp:
    """One message; encrypted ones have no parts."""

    cookie_i: bytes
    cookie_r: bytes
    first: int
    exchange: int
    flags: int
    message_id: int
    body: bytes
    """What follows the header, as far as its length says."""
    parts: tuple[Part, ...]
    data: bytes = field(repr=False)

    @property
    def is_encrypted(self) -> bool:
        """Whether the E flag is set."""
        return bool(self.flags & _ENCRYPTED)

    def in_clear(self, payloads: bytes) -> bytes:
        """The same message with these payloads and without the E flag."""
        flags = self.flags & ~_ENCRYPTED
        length = (HEADER + len(payloads)).to_bytes(4, "big")
        return self.data[:19] + bytes((flags,)) + self.data[20:24] + length + payloads


@dataclass(frozen=True, slots=True)
class TransformV1:
    """An ID and its attributes, as numbers."""

    id: int
    attributes: dict[int, int]


@dataclass(frozen=True, slots=True)
class ProposalV1:
    """One proposal."""

    number: int
    protocol: int
    spi: bytes
    transforms: tuple[TransformV1, ...]


def is_ikev1(data: bytes) -> bool:
    """Whether a message says that it is IKEv1's."""
    return len(data) >= HEADER and data[17] >> 4 == 1


def parse(data: bytes) -> Isakmp:
    """A message of at least 28 octets."""
    length = int.from_bytes(data[24:28], "big")
    body = data[HEADER:length] if HEADER <= length <= len(data) else data[HEADER:]
    encrypted = data[19] & _ENCRYPTED
    parts = () if encrypted else walk(data[16], body)[0]
    message_id = int.from_bytes(data[20:24], "big")
    return Isakmp(data[:8], data[8:16], data[16], data[18], data[19], message_id, body, parts, data)


def walk(first: int, data: bytes) -> tuple[tuple[Part, ...], int]:
    """A chain of payloads, and where it ends; 0 if it does not end as it should."""
    parts: list[Part] = []
    position, kind = 0, first
    while kind:
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if len(data) - position < 4 or not 4 <= length <= len(data) - position or data[position + 1]:
            return tuple(parts), 0
        parts.append(Part(kind, data[position + 4 : position + length]))
        kind = data[position]
        position += length
    return tuple(parts), position


def proposals(body: bytes) -> list[ProposalV1]:
    """Those of an SA payload's body, which begins with DOI and situation, 4 octets each."""
    found = []
    for octets in _substructures(body[8:]):
        if len(octets) < 4:
            break
        size = octets[2]
        transforms = tuple(_transform(one) for one in _substructures(octets[4 + size :]) if len(one) >= 4)
        found.append(ProposalV1(octets[0], octets[1], octets[4 : 4 + size], transforms))
    return found


def _substructures(data: bytes) -> Iterator[bytes]:
    """Bodies of proposals or transforms, which follow one another until one says that it is the last."""
    position = 0
    while len(data) - position >= 4:
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if not 4 <= length <= len(data) - position:
            return
        yield data[position + 4 : position + length]
        if not data[position]:
            return
        position += length


def _transform(octets: bytes) -> TransformV1:
    attributes: dict[int, int] = {}
    position = 4
    while len(octets) - position >= 4:
        kind = int.from_bytes(octets[position : position + 2], "big")
        value = octets[position + 2 : position + 4]
        position += 4
        if kind <= _TLV:
            length = int.from_bytes(value, "big")
            value = octets[position : position + length]
            position += length
        attributes[kind & _TLV] = int.from_bytes(value, "big")
    return TransformV1(octets[1], attributes)


def first_part(parts: tuple[Part, ...], kind: int) -> bytes:
    """The body of the first payload of a type; empty without one."""
    return next((part.body for part in parts if part.type == kind), b"")
