"""Octets that no honest peer sends: random ones, and real messages with something wrong."""

import random

from ipsectest.wire import HEADER_LENGTH

_NEXT_PAYLOADS = (0, *range(33, 49), 53, 54, 121, 128, 255)
_LENGTHS = (0, 1, 3, 4, 5, 8, 255, 256, 0x7FFF, 0xFFFF)


def noise(dice: random.Random) -> bytes:
    """Random octets, mostly short."""
    return dice.randbytes(dice.choice((dice.randrange(64), dice.randrange(600), dice.randrange(3000))))


def chain(dice: random.Random) -> tuple[int, bytes]:
    """(first type, octets) of payloads with true generic headers and random bodies."""
    kinds = [dice.choice(_NEXT_PAYLOADS) for _ in range(dice.randrange(1, dice.choice((3, 8, 60))))]
    octets = b""
    for following in (*kinds[1:], 0):
        body = dice.randbytes(dice.choice((0, 4, 8, dice.randrange(64))))
        octets += bytes((following, dice.choice((0, 0, 0x80, 0xFF)))) + (4 + len(body)).to_bytes(2, "big") + body
    return kinds[0], octets


def message(dice: random.Random, spis: bytes) -> bytes:
    """A header that is right, with a random chain behind it."""
    first, octets = chain(dice)
    exchange, flags = dice.choice((34, 34, 35, 36, 37, 43, 0, 255)), dice.choice((0x08, 0x08, 0x08, 0x20, 0x28, 0))
    header = spis + bytes((first, 0x20, exchange, flags)) + dice.choice((0, 0, 1, 2, 0xFFFFFFFF)).to_bytes(4, "big")
    return header + (HEADER_LENGTH + len(octets)).to_bytes(4, "big") + octets


def mutate(data: bytes, dice: random.Random) -> bytes:
    """One to eight changes at random places."""
    octets = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 3, 8))):
        _CHANGES[dice.randrange(len(_CHANGES))](octets, dice)
    return bytes(octets)


def with_true_length(data: bytes) -> bytes:
    """The Length of the header set right, so that a mutant gets past the first check."""
    return data if len(data) < HEADER_LENGTH else data[:24] + len(data).to_bytes(4, "big") + data[28:]


def _flip(octets: bytearray, dice: random.Random) -> None:
    if octets:
        octets[dice.randrange(len(octets))] ^= 1 << dice.randrange(8)


def _set(octets: bytearray, dice: random.Random) -> None:
    if octets:
        octets[dice.randrange(len(octets))] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))


def _set_length(octets: bytearray, dice: random.Random) -> None:
    if len(octets) >= 2:
        at = dice.randrange(len(octets) - 1)
        octets[at : at + 2] = dice.choice((*_LENGTHS, min(len(octets) - at, 0xFFFF))).to_bytes(2, "big")


def _cut(octets: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(octets) + 1)
    del octets[at : at + dice.choice((1, 4, 16, len(octets)))]


def _repeat(octets: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(octets) + 1)
    if len(octets) < 4000:
        octets[at:at] = octets[at : at + dice.randrange(64)] * dice.choice((1, 1, 2, 20))


def _insert(octets: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(octets) + 1)
    octets[at:at] = dice.randbytes(dice.choice((1, 2, 4, 8, 40)))


def _swap(octets: bytearray, dice: random.Random) -> None:
    first, second = sorted(dice.randrange(len(octets) + 1) for _ in range(2))
    octets[:] = octets[:first] + octets[second:] + octets[first:second]


_CHANGES = (_flip, _flip, _set, _set, _set_length, _cut, _repeat, _insert, _swap)
