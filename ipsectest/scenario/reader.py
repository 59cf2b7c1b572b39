"""Script lines -> the model: comments, ``$words``, indented ``and``/``or`` lines and ``in any order`` blocks."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lark import Token, Tree

from ipsectest.base.iana import NAT_KEEPALIVE, ExchangeType, PayloadType
from ipsectest.scenario import arguments, data_lines, operands
from ipsectest.scenario.model import (
    Alternative,
    AnyOrder,
    Condition,
    DataPattern,
    Edit,
    Expect,
    Incoming,
    Kind,
    Line,
    MessagePattern,
    Modifiers,
    Number,
    OctetsPattern,
    Offset,
    Operand,
    PayloadItem,
    PeerVerb,
    PingLine,
    Repeat,
    SamePattern,
    Send,
    Silence,
    Spot,
    Tag,
    UseTunnel,
    Wait,
)
from ipsectest.scenario.operands import Word
from ipsectest.scenario.ports import Counter, Verb
from ipsectest.scenario.results import Level
from ipsectest.scenario.syntax import ScriptSyntaxError, nearest, parse_line
from ipsectest.scenario.trees import Node, arguments_of, child_of, column_of, word_of

PORTS = ("500", "4500", "other", "elsewhere")
SENT_BY_PEERS = ("ping", "syn", "udp")
_TAG = re.compile(r"\s*\[[^\]]*\]")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at a spot of the file."""

    spot: Spot
    message: str
    hint: str = ""


@dataclass(slots=True)
class Script:
    """What reading a script came to."""

    lines: list[Line] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    """Every ``$word`` that occurs."""


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line after substitution; ``columns[i]`` is the file's column of character i."""

    number: int
    text: str
    indented: bool
    columns: tuple[int, ...] = ()

    def spot(self, column: int) -> Spot:
        """Where a 1-based column of the substituted text stands in the file."""
        if not self.columns:
            return Spot(self.number, column)
        return Spot(self.number, self.columns[min(max(column, 1), len(self.columns)) - 1])

    @property
    def shown(self) -> str:
        """The line without tag, for reports."""
        return " ".join(_TAG.sub("", self.text).split())


def read_script(text: str, first_line: int, values: Mapping[str, str]) -> Script:
    """Read all lines; problems are collected, so that one lint run shows them all."""
    script = Script()
    block: list[Expect] | None = None
    for source in _source_lines(text, first_line, values, script):
        try:
            node = parse_line(source.text)
            if block is not None and source.indented and node.data == "expect":
                block.append(_expect(node, source))
            elif node.data in {"also", "alternative"}:
                _attach(node, source, script.lines, block)
            else:
                _close(block, script)
                block = [] if node.data == "any_order" else None
                _add(node, source, script)
        except ScriptSyntaxError as problem:
            script.problems.append(Problem(source.spot(problem.column), problem.message, problem.hint))
    _close(block, script)
    return script


def _source_lines(text: str, first: int, values: Mapping[str, str], script: Script) -> list[SourceLine]:
    found = []
    for number, line in enumerate(text.split("\n"), first):
        bare = re.sub(r"#.*", lambda m: " " * len(m[0]), _blank_strings(line))
        code = line[: len(bare.rstrip())]
        if code.strip():
            found.append(_substitute(code, number, values, script))
    return found


def _blank_strings(line: str) -> str:
    return re.sub(r'"[^"]*"', lambda m: "_" * len(m[0]), line)


def _substitute(code: str, number: int, values: Mapping[str, str], script: Script) -> SourceLine:
    parts: list[str] = []
    columns: list[int] = []
    position = 0
    for match in re.finditer(r"\$([A-Za-z_]\w*)", code):
        word = match[1]
        script.words.add(word)
        parts.append(code[position : match.start()])
        columns += range(position + 1, match.start() + 1)
        if word in values:
            parts.append(values[word])
            columns += [match.start() + 1] * len(values[word])
        else:
            near = nearest(word, list(values))
            hint = f"did you mean ${near}?" if near else "a [[variant]] must give it a value"
            script.problems.append(Problem(Spot(number, match.start() + 1), f"${word} has no value", hint))
        position = match.end()
    parts.append(code[position:])
    columns += range(position + 1, len(code) + 2)
    return SourceLine(number, "".join(parts), code[:1].isspace(), tuple(columns))


def _attach(node: Node, source: SourceLine, lines: list[Line], block: list[Expect] | None) -> None:
    target: list[Expect] | list[Line] = block if block is not None and source.indented else lines
    above = target[-1] if target else None
    if not isinstance(above, Expect):
        raise ScriptSyntaxError(1 + len(source.text) - len(source.text.lstrip()), "and/or needs a <- line above it")
    if node.data == "also":
        changed = replace(above, conditions=(*above.conditions, _condition(node, source)))
    else:
        what, modifiers, tag = _message_line(node, source)
        if tag is not None:
            raise ScriptSyntaxError(tag.spot.column, "an or line has no tag", "the tag of the <- line covers it")
        other = Alternative(what, modifiers, source.spot(1), source.shown)
        changed = replace(above, alternatives=(*above.alternatives, other))
    target[-1] = changed


def _close(block: list[Expect] | None, script: Script) -> None:
    """Put a finished block into the AnyOrder line that opened it."""
    if block is None or not script.lines or not isinstance(script.lines[-1], AnyOrder):
        return
    head = script.lines[-1]
    if not block and not head.lines:
        script.problems.append(Problem(head.spot, "in any order: needs indented <- lines below it"))
    script.lines[-1] = replace(head, lines=tuple(block) or head.lines)


def _add(node: Node, source: SourceLine, script: Script) -> None:
    script.lines.append(_READERS[node.data](node, source))


# Messages -----------------------------------------------------------------------------------------------------------


def _send(node: Node, source: SourceLine) -> Line:
    what, modifiers, tag = _message_line(node, source)
    if tag is not None or isinstance(what, Silence):
        raise ScriptSyntaxError(tag.spot.column if tag else 1, "only <- lines and verbs can be tagged")
    return Send(what, modifiers, source.spot(1), source.shown)


def _expect(node: Node, source: SourceLine) -> Expect:
    what, modifiers, tag = _message_line(node, source)
    spot = source.spot(1 + len(source.text) - len(source.text.lstrip()))
    first = Alternative(what, modifiers, spot, source.shown)
    return Expect((first,), (), tag, spot, source.shown)


def _condition(node: Node, source: SourceLine) -> Condition:
    message = _message_parts(node.children, source)
    modifiers, tag = _modifiers(node.children, source)
    first = child_of(node, 0)
    data = data_lines.read(first, source, node.children) if first.data == "condition" else None
    return Condition(message.items, message.header, modifiers, tag, source.spot(1), source.shown, data)


def _message_line(node: Node, source: SourceLine) -> tuple[Incoming, Modifiers, Tag | None]:
    """What a line with an arrow (or ``or``) says, its modifiers and its tag."""
    inner = child_of(node, 0)
    what = inner if inner.data == "message" else child_of(inner, 0)
    if what.data == "data":
        pattern, left = data_lines.ends(data_lines.read(what, source, inner.children), inner.children, PORTS)
        return pattern, *_modifiers(left, source)
    return _incoming(what, source), *_modifiers(inner.children, source)


def _incoming(node: Node, source: SourceLine) -> Incoming:
    return _PATTERNS[node.data](node, source)


def _forbidden(node: Node, source: SourceLine) -> Silence:
    message, seconds = child_of(node, 0), _seconds(node.children[1])
    if message.data == "same":
        return Silence(seconds, SamePattern(str(message.children[0]), source.spot(column_of(message))))
    if message.data == "data":
        return Silence(seconds, data_lines.read(message, source, ()))
    modifiers, _ = _modifiers(message.children, source)
    return Silence(seconds, _message(message, source), modifiers)


def _message(node: Node, source: SourceLine) -> MessagePattern:
    exchange = child_of(node, 0)
    token = exchange.children[-1]
    if len(exchange.children) == 2:
        kind = operands.plain_number(Word(str(token), column_of(token)))
    elif str(token) in ExchangeType.__members__:
        kind = int(ExchangeType[str(token)])
    else:
        words = [*ExchangeType.__members__, "nothing", "same", "octets", "keepalive", "ESP"]
        near = nearest(str(token), words)
        hint = f"did you mean {near!r}?" if near else ""
        raise ScriptSyntaxError(column_of(token), f"there is no exchange {str(token)!r}", hint)
    parts = _message_parts(node.children[1:], source)
    return replace(parts, exchange=kind, spot=source.spot(column_of(token)))


def _message_parts(children: list[Node | Token], source: SourceLine) -> MessagePattern:
    items: list[PayloadItem] = []
    header: tuple[Edit, ...] = ()
    protection: tuple[Edit, ...] = ()
    ellipsis = False
    for child in children:
        if not isinstance(child, Tree):
            continue
        if child.data in {"item", "outside"}:
            items.append(_item(child, source))
        elif child.data == "item_header":
            header += arguments.read_header(arguments_of(child.children), source.number)
        elif child.data == "item_protection":
            protection += arguments.read_protection(arguments_of(child.children), source.number)
        elif child.data == "ellipsis":
            ellipsis = True
    return MessagePattern(0, tuple(items), ellipsis, header, protection)


def _item(node: Node, source: SourceLine) -> PayloadItem:
    sign, name = node.children[0], node.children[1]
    count = node.children[-1]
    item = arguments.read_payload(str(name), arguments_of(node.children), source.spot(column_of(name)))
    return replace(
        item,
        action=str(sign) if sign is not None and node.data == "item" else "",
        place=str(sign).split()[0] if node.data == "outside" else "",
        count=int(str(count)[1:]) if isinstance(count, Token) and count.type == "COUNT" else None,
    )


_PATTERNS: dict[str, Callable[[Node, SourceLine], Incoming]] = {
    "message": _message,
    "same": lambda node, source: SamePattern(str(node.children[0]), source.spot(column_of(node))),
    "keepalive": lambda _node, _source: OctetsPattern(NAT_KEEPALIVE),
    "octets": lambda node, _source: OctetsPattern(operands.literal_octets(word_of(child_of(node, 0)))),
    "nothing": lambda node, _source: Silence(_seconds(node.children[0])),
    "forbidden": _forbidden,
}


# Verbs --------------------------------------------------------------------------------------------------------------


def _use_tunnel(node: Node, source: SourceLine) -> Line:
    name, *words = node.children
    behind_nat = any(isinstance(w, Tree) and w.data == "behind" for w in words)
    sa = next((str(w.children[0]) for w in words if isinstance(w, Tree) and w.data == "on"), "")
    return UseTunnel(str(name), behind_nat, sa, source.spot(1), source.shown)


def _ping(node: Node, source: SourceLine) -> Line:
    return PingLine(str(node.children[0]), _modifiers(node.children[1:], source)[1], source.spot(1), source.shown)


def _peer(node: Node, source: SourceLine) -> Line:
    verb = node.children[0]
    names = [c for c in node.children[1:] if isinstance(c, Token) and c.type == "NAME"]
    sa = next((str(c.children[0]) for c in node.children if isinstance(c, Tree) and c.data == "on"), "")
    _, tag = _modifiers([c for c in node.children if isinstance(c, Tree) and c.data == "tag"], source)
    if tag is not None:
        raise ScriptSyntaxError(
            column_of(verb), f"peer {verb} cannot be tagged", "tag the <- line for what the peer sends"
        )
    name = str(names[0]) if names else ""
    needs_name = str(verb) in {"create", "rekey", "delete", "ping"}
    if needs_name and not name:
        raise ScriptSyntaxError(len(source.text.rstrip()) + 1, f"peer {verb} needs a name", f"peer {verb} net")
    kind = str(verb)
    if kind in {"rekey", "delete"}:
        kind += " ike" if name == "ike" else " child"
    return PeerVerb(Verb(kind), name or "net", sa, None, None, None, source.spot(1), source.shown)


def _peer_send(node: Node, source: SourceLine) -> Line:
    pattern = DataPattern("", "", carrier="clear", spot=source.spot(1))
    pattern = data_lines.content(pattern, child_of(node, 0), node.children)
    pattern, left = data_lines.ends(pattern, node.children[1:], ())
    modifiers, _ = _modifiers(left, source)
    if pattern.content not in SENT_BY_PEERS:
        hint = f"it can send {', '.join(SENT_BY_PEERS)}"
        raise ScriptSyntaxError(column_of(child_of(node, 0)), f"a peer cannot be asked for a {pattern.content}", hint)
    return PeerVerb(Verb.SEND, "", modifiers.sa, None, None, None, source.spot(1), source.shown, pattern)


def _counter(node: Node, source: SourceLine) -> Line:
    name, counted = node.children[0], str(node.children[1])
    if str(name) not in list(Counter):
        near = nearest(str(name), [str(c) for c in Counter])
        hint = f"did you mean {near!r}?" if near else f"counters are {', '.join(Counter)}"
        raise ScriptSyntaxError(column_of(name), f"there is no counter {str(name)!r}", hint)
    number = int(re.sub(r"\D", "", counted))
    expected: Operand = Offset(number) if counted.startswith("+") else Number(number)
    _, tag = _modifiers(node.children[2:], source)
    return PeerVerb(Verb.COUNTER, "", "", Counter(str(name)), expected, tag, source.spot(1), source.shown)


def _repeat(node: Node, source: SourceLine) -> Line:
    return Repeat(str(node.children[0]), node.data == "release", source.spot(1), source.shown)


def _wait(node: Node, source: SourceLine) -> Line:
    return Wait(_seconds(node.children[0]), source.spot(1), source.shown)


def _any_order(_node: Node, source: SourceLine) -> Line:
    return AnyOrder((), source.spot(1), source.shown)


_READERS: dict[str, Callable[[Node, SourceLine], Line]] = {
    "send": _send,
    "expect": _expect,
    "any_order": _any_order,
    "use_tunnel": _use_tunnel,
    "ping": _ping,
    "peer": _peer,
    "counter": _counter,
    "peer_send": _peer_send,
    "release": _repeat,
    "duplicate": _repeat,
    "wait": _wait,
}


# Modifiers ----------------------------------------------------------------------------------------------------------


def _modifiers(children: list[Node | Token], source: SourceLine) -> tuple[Modifiers, Tag | None]:
    tag = None
    written: dict[str, Any] = {}
    for child in children:
        if not isinstance(child, Tree):
            continue
        word = child.children[0] if child.children else ""
        match child.data:
            case "tag":
                tag = _tag(child, source)
            case "flag" if str(word) in {"request", "response"}:
                written["kind"] = Kind(str(word))
            case "flag":
                written[str(word)] = True
            case "within":
                written["within"] = _seconds(word)
            case "source" | "destination":
                written[child.data] = _port(word)
            case "label" | "answers":
                written[child.data] = str(word)
            case "on_sa":
                written["sa"] = str(word)
    return Modifiers(**written), tag


def _port(word: Node | Token | str) -> str:
    if str(word) not in PORTS:
        near = nearest(str(word), list(PORTS))
        hint = f"did you mean {near!r}?" if near else f"port words are {', '.join(PORTS)}"
        raise ScriptSyntaxError(column_of(word), f"{str(word)!r} is no port word", hint)
    return str(word)


def _tag(node: Node, source: SourceLine) -> Tag:
    level, *ids = node.children
    return Tag(Level(str(level)), tuple(str(i) for i in ids), source.spot(column_of(level)))


def _seconds(token: Node | Token | str) -> float:
    text = str(token)
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text[:-1])


def is_request_only(item: PayloadItem) -> bool:
    """Payloads that only a request carries: Ni and N(REKEY_SA)."""
    return item.action != "-" and (item.name == "Ni" or (item.type == PayloadType.N and item.notify == 16393))
