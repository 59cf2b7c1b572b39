"""Operands against reality: what a field is made of when sent, and whether it is as written when it came."""

from collections.abc import Callable
from dataclasses import dataclass

from ipsectest.base.clock import RandomBytes
from ipsectest.crypto.modp import modp_group
from ipsectest.scenario.model import (
    Between,
    ChildSpi,
    Copied,
    Counting,
    Damage,
    Fresh,
    Holds,
    Inverse,
    NatHash,
    Number,
    Octets,
    Offset,
    Operand,
)


def damaged(kind: str, correct: bytes, group: int | None = None) -> bytes:
    """The correct octets, damaged in a named way; the KE words need the group (MODP: full length)."""
    size = len(correct)
    ways: dict[str, Callable[[], bytes]] = {
        "flip": lambda: correct[:-1] + bytes([correct[-1] ^ 1]) if correct else b"\x01",
        "zeros": lambda: bytes(size),
        "ones": lambda: b"\xff" * size,
        "short": lambda: correct[:-1],
        "long": lambda: correct + b"\x00",
        "one": lambda: (1).to_bytes(max(size, 1), "big"),
        "prime": lambda: _prime(group, size, 0),
        "prime-1": lambda: _prime(group, size, 1),
    }
    return ways[kind]()


def _prime(group: int | None, size: int, less: int) -> bytes:
    """The prime of a finite-field group minus ``less``; other groups have none and get all ones."""
    parameters = modp_group(group or 0)
    return b"\xff" * size if parameters is None else (parameters.prime - less).to_bytes(size, "big")


@dataclass(slots=True)
class Values:
    """Evaluates operands of one line; ``by_us`` says who sends it."""

    random: RandomBytes
    copied: Callable[[str, str], bytes]
    """(label, part) -> the data octets in an earlier message; LookupError."""
    child_spi: Callable[[str, str, bool], bytes]
    """(child, side, by_us) -> 4 octets; LookupError."""
    by_us: bool = True

    def octets(self, operand: Operand, correct: bytes, group: int | None = None) -> bytes:  # noqa: PLR0911
        """What the field becomes in a message we send."""
        match operand:
            case Octets(data):
                return data
            case Damage(kind):
                return damaged(kind, correct, group)
            case Fresh(size):
                return self.random(len(correct) or 16 if size is None else size)
            case Copied(label, part):
                return self.copied(label, part)
            case ChildSpi(child, side):
                return self.child_spi(child, side, self.by_us)
            case NatHash(matches):
                return correct if matches else self.random(20)
            case Counting():
                return bytes(1 + i & 0xFF for i in range(len(correct)))
            case Holds(present, _):
                return b"".join(n.to_bytes(2, "big") for n in present)
            case _:
                raise LookupError("octets are needed here")

    def number(self, operand: Operand, correct: int) -> int:
        """What a numeric field becomes in a message we send."""
        match operand:
            case Number(value):
                return value
            case Offset(delta):
                return correct + delta
            case _:
                raise LookupError("a number is needed here")

    def fits_octets(self, operand: Operand, actual: bytes) -> bool:  # noqa: PLR0911
        """Whether a field of the peer's message is as written."""
        match operand:
            case Inverse(inner):
                return not self.fits_octets(inner, actual)
            case Damage("zeros"):
                return not any(actual)
            case Damage("ones"):
                return set(actual) == {0xFF}
            case Holds(present, absent):
                listed = {int.from_bytes(actual[i : i + 2], "big") for i in range(0, len(actual) - 1, 2)}
                return listed.issuperset(present) and listed.isdisjoint(absent)
            case Counting():
                return bool(actual) and actual == self.octets(operand, actual)
            case Octets() | Copied() | ChildSpi():
                return actual == self.octets(operand, actual)
            case _:
                return False

    def fits_number(self, operand: Operand, actual: int, correct: int = 0) -> bool:
        """Whether a numeric field of the peer's message is as written; ``correct`` is the base of ``+1``."""
        match operand:
            case Inverse(inner):
                return not self.fits_number(inner, actual, correct)
            case Between(low, high):
                return low <= actual <= high
            case _:
                return actual == self.number(operand, correct)
