"""Lines that carry data: ``ESP(net seq=1) ping``, ``AH(net) pong``, ``clear syn to theirs/tcp/80``."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Protocol

from lark import Token, Tree

from ipsectest.base.iana import EcnCodepoint
from ipsectest.scenario import arguments, operands
from ipsectest.scenario.model import Counting, DataPattern, Edit, Spot
from ipsectest.scenario.operands import Argument, Word
from ipsectest.scenario.syntax import ScriptSyntaxError, nearest
from ipsectest.scenario.trees import Node, arguments_of, child_of, column_of, word_of

CONTENTS = ("ping", "pong", "syn", "reset", "udp", "too-big", "dummy")
HEADER_FIELDS = ("dscp", "ecn", "df", "ttl")
"""Of an IP header, outer (in brackets) or inner (behind the content)."""
NUMBERS = {*HEADER_FIELDS, "mf", "part", "seq", "pad", "pad_length", "next", "checksum", "tfc"}
OCTETS = {"icv", "iv", "padding"}
FIELDS = {*HEADER_FIELDS, "size", "part", "mtu"}


class Place(Protocol):
    """A line of the file."""

    @property
    def number(self) -> int:
        """1-based."""
        ...

    def spot(self, column: int) -> Spot:
        """Where a column is."""
        ...


def read(node: Node, source: Place, behind: Sequence[Node | Token]) -> DataPattern:
    """A data line, or what an ``and`` line says of one (there the content may be left out).

    Fields of the packet inside are among the words ``behind``.
    """
    carrier, inside = child_of(node, 0), node.children[-1]
    token, *rest = carrier.children
    child = rest[0] if rest else None
    pattern = DataPattern(
        "" if child is None else str(child), "", carrier=str(token), spot=source.spot(column_of(token))
    )
    edits: list[Edit] = []
    for argument in arguments_of(rest[1:]):
        if argument.field == "encap" and argument.value.text in {"udp", "raw"}:
            pattern = replace(pattern, encapsulation=argument.value.text)
        else:
            edits.append(_edit(argument, pattern.carrier, source.number))
    pattern = replace(pattern, edits=tuple(edits))
    return content(pattern, inside, behind) if isinstance(inside, Tree) and inside is not carrier else pattern


def _edit(argument: Argument, carrier: str, line: int) -> Edit:
    name, spot = argument.field, Spot(line, argument.column)
    if name in NUMBERS:
        return Edit(name, operands.number(argument.value, EcnCodepoint if name == "ecn" else None), spot)
    if name == "spi":
        return Edit(name, operands.spi(argument.value), spot)
    if name == "padding" and argument.value.text == "counting":
        return Edit(name, Counting(), spot)
    if name in OCTETS:
        return Edit(name, operands.octets(argument.value), spot)
    near = nearest(name, [*NUMBERS, "spi", *OCTETS, "encap"])
    hint = f"did you mean {near!r}?" if near else ""
    raise ScriptSyntaxError(argument.column, f"{carrier} has no field {name!r}", hint)


def content(pattern: DataPattern, node: Node, behind: Sequence[Node | Token]) -> DataPattern:
    """What is inside."""
    if node.data == "content_octets":
        return replace(pattern, content="octets", octets=operands.literal_octets(word_of(child_of(node, 0))))
    name = str(node.children[0])
    if name not in CONTENTS:
        near = nearest(name, list(CONTENTS))
        hint = f"did you mean {near!r}?" if near else f"contents are {', '.join(CONTENTS)} and octets"
        raise ScriptSyntaxError(column_of(node.children[0]), f"{pattern.carrier} cannot carry {name!r}", hint)
    pattern = replace(pattern, content=name)
    fields: list[Edit] = []
    for part in behind:
        if not isinstance(part, Tree) or part.data != "field":
            continue
        token = part.children[0]
        field, word = str(token), word_of(child_of(part, 1))
        if field not in FIELDS:
            near = nearest(field, list(FIELDS))
            hint = f"did you mean {near!r}?" if near else f"fields are {', '.join(sorted(FIELDS))}"
            raise ScriptSyntaxError(column_of(token), f"a {name} has no field {field!r}", hint)
        if field == "size" and not word.negated and ".." not in word.text:
            pattern = replace(pattern, size=operands.plain_number(word))
        number = operands.number(word, EcnCodepoint if field == "ecn" else None)
        fields.append(Edit(field, number, Spot(pattern.spot.line, column_of(token))))
    return replace(pattern, fields=tuple(fields))


def ends(
    pattern: DataPattern, words: list[Node | Token], ports: Collection[str]
) -> tuple[DataPattern, list[Node | Token]]:
    """``from`` and ``to`` with selector words are the ends of the packet inside; with port words they are modifiers."""
    left: list[Node | Token] = []
    for word in words:
        token = word.children[0] if isinstance(word, Tree) and word.data in {"source", "destination"} else None
        if token is None or str(token) in ports:
            left.append(word)
            continue
        arguments.read_selector(Word(str(token), column_of(token)))
        if isinstance(word, Tree) and word.data == "source":
            pattern = replace(pattern, source=str(token))
        else:
            pattern = replace(pattern, destination=str(token))
    return pattern, left
