"""Values as written in brackets -> operands: numbers, octets, SPIs, with the vocabulary of their field."""

import re
from dataclasses import dataclass
from enum import IntEnum

from ipsectest.base.iana import KeyExchangeMethod, TransformType
from ipsectest.base.suites import KEYWORDS
from ipsectest.scenario.model import (
    Between,
    ChildSpi,
    Copied,
    Damage,
    Fresh,
    Holds,
    Inverse,
    Number,
    Octets,
    Offset,
    Operand,
)
from ipsectest.scenario.syntax import ScriptSyntaxError, nearest

DAMAGES = ("flip", "zeros", "ones", "short", "long")
KE_DAMAGES = (*DAMAGES, "one", "prime", "prime-1")
HASHES = {"sha1": 1, "sha256": 2, "sha384": 3, "sha512": 4, "identity": 5}
GROUPS = {word: spec.id for word, spec in KEYWORDS.items() if spec.type == TransformType.KE}


@dataclass(frozen=True, slots=True)
class Word:
    """One value of the script: its text, the kind of token, whether ``not`` stands before it, its column."""

    text: str
    column: int
    quoted: bool = False
    repeated: bool = False
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Argument:
    """``field=value`` or a positional value."""

    field: str
    value: Word
    column: int


def number(word: Word, names: type[IntEnum] | None = None) -> Operand:
    """A number, a name of the field's registry, ``+1``, ``-1`` or ``16..256``."""
    text = word.text
    operand: Operand
    if re.fullmatch(r"[+-]\d+", text):
        operand = Offset(int(text))
    elif match := re.fullmatch(r"(\w+)\.\.(\w+)", text):
        low, high = (_integer(part) for part in match.groups())
        if low is None or high is None:
            raise ScriptSyntaxError(word.column, f"{text!r} is no range of numbers")
        operand = Between(low, high)
    else:
        operand = Number(plain_number(word, names))
    return Inverse(operand) if word.negated else operand


def plain_number(word: Word, names: type[IntEnum] | None = None) -> int:
    """A number or a name of the field's registry."""
    value = _integer(word.text)
    if value is not None and not word.quoted:
        return value
    known = _names(names)
    if word.text.lower() in known:
        return known[word.text.lower()]
    near = nearest(word.text, list(GROUPS)) if names is KeyExchangeMethod else None
    near = near or nearest(word.text, [m.name for m in names] if names else [])
    what = f"no name of {names.__name__}" if names else "no number"
    raise ScriptSyntaxError(word.column, f"{word.text!r} is {what}", f"did you mean {near!r}?" if near else "")


def _names(names: type[IntEnum] | None) -> dict[str, int]:
    known = {member.name.lower(): member.value for member in names} if names else {}
    if names is KeyExchangeMethod:
        known |= GROUPS
    return known


def _integer(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return int(text) if text.isascii() and text.isdigit() else None


def octets(word: Word, damages: tuple[str, ...] = DAMAGES) -> Operand:
    """Octets, a damage of the correct ones, random ones, or a copy of what another message carried."""
    operand = _octets(word, damages)
    return Inverse(operand) if word.negated else operand


def _octets(word: Word, damages: tuple[str, ...]) -> Operand:
    literal = _literal(word)
    if literal is not None:
        return Octets(literal)
    if word.text in damages:
        return Damage(word.text)
    if word.text == "0":
        return Damage("zeros")
    if word.text == "random":
        return Fresh()
    if match := re.fullmatch(r"([A-Za-z_][\w-]*)\.(\w+)", word.text):
        return Copied(match[1], match[2])
    near = nearest(word.text, [*damages, "empty", "random"])
    hint = f"did you mean {near!r}?" if near else 'octets are 0x0102, 00 x32 or "text"'
    raise ScriptSyntaxError(word.column, f"{word.text!r} is not octets", hint)


def hashes(word: Word) -> Holds:
    """``sha256``, ``sha256+sha384``, ``-sha1``: hash algorithms in a SIGNATURE_HASH_ALGORITHMS notify."""
    present: list[int] = []
    absent: list[int] = []
    for sign, name in re.findall(r"([+-]?)(\w+)", word.text):
        value = _integer(name)
        if value is None and name not in HASHES:
            near = nearest(name, list(HASHES))
            raise ScriptSyntaxError(
                word.column, f"{name!r} is no hash algorithm", f"did you mean {near!r}?" if near else ""
            )
        (absent if sign == "-" else present).append(HASHES[name] if value is None else value)
    return Holds(tuple(present), tuple(absent))


def literal_octets(word: Word) -> bytes:
    """Octets written out: ``0x..``, ``00 x32``, ``"text"``, ``empty``."""
    literal = _literal(word)
    if literal is None:
        raise ScriptSyntaxError(word.column, f"{word.text!r} is not octets", 'octets are 0x0102, 00 x32 or "text"')
    return literal


def _literal(word: Word) -> bytes | None:
    if word.quoted:
        return word.text.encode()
    if word.repeated:
        octet, times = word.text.split()
        if int(times[1:]) > 0xFFFF:
            raise ScriptSyntaxError(word.column, f"{times[1:]} octets do not fit into a message")
        return bytes.fromhex(octet) * int(times[1:])
    if word.text == "empty":
        return b""
    if re.fullmatch(r"[0-9a-fA-F]{2}", word.text):
        return bytes.fromhex(word.text)
    if word.text.startswith("0x"):
        digits = word.text[2:]
        if len(digits) % 2 or not re.fullmatch(r"[0-9a-fA-F]*", digits):
            raise ScriptSyntaxError(word.column, f"{word.text!r} is not a whole number of octets")
        return bytes.fromhex(digits)
    return None


def spi(word: Word) -> Operand:
    """The SPI of a child by name (``net``, ``net.ours``, ``net.theirs``), ``unknown``, or octets."""
    operand: Operand
    if word.repeated or word.text.startswith("0x") or word.text in {*DAMAGES, "0", "empty", "random"}:
        operand = _octets(word, DAMAGES)
    elif word.text == "unknown":
        operand = ChildSpi("", "nobody")
    elif match := re.fullmatch(r"([A-Za-z_][\w-]*)(?:\.(ours|theirs))?", word.text):
        operand = ChildSpi(match[1], match[2] or "sender")
    else:
        raise ScriptSyntaxError(word.column, f"{word.text!r} names no SPI", "write the name of a Child SA, such as net")
    return Inverse(operand) if word.negated else operand
