"""The grammar of one script line, and errors that point at the word that does not fit."""

import difflib
import re
from dataclasses import dataclass
from functools import cache

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

GRAMMAR = r"""
start: "->" (message | others)                      -> send
     | "<-" (message | others | absence)            -> expect
     | "and" (item | item_header)+ (modifier | tag)*  -> also
     | "and" condition (field | modifier | tag)*    -> also
     | "or" (message | others | absence)            -> alternative
     | "in" "any" "order" ":"                       -> any_order
     | "use" "tunnel" NAME (behind | on)*           -> use_tunnel
     | "ping" NAME [tag]                            -> ping
     | "peer" PEER_VERB NAME? (on | tag)*           -> peer
     | "peer" "counter" NAME COUNTED [tag]          -> counter
     | "peer" "send" content (field | modifier)*    -> peer_send
     | "release" NAME                               -> release
     | "duplicate" NAME                             -> duplicate
     | "wait" TIME                                  -> wait
behind: "behind" "nat"
on: "on" NAME

others: (same | keepalive | octets) (modifier | tag)*
      | data (field | modifier | tag)*
absence: (nothing | forbidden) (modifier | tag)*
message: exchange (item | item_header | item_protection | ellipsis | modifier | tag)*
exchange: NAME | EXCHANGE "(" VALUE ")"
same: "same" "octets" "as" NAME
keepalive: "keepalive"
octets: "octets" value
nothing: "nothing" "for" TIME
forbidden: "no" (message | same | data) "for" TIME
condition: carrier [content]
data: carrier content
carrier: ESP ["(" VALUE argument* ")"]
       | CLEAR
content: NAME                                       -> content
       | "octets" content_value                     -> content_octets
content_value: VALUE | STRING | REPEATED
field: NAME "=" field_value
field_value: (NOT)? VALUE

ellipsis: "..."
item: [SIGN] NAME ["(" argument* ")"] [COUNT]       -> item
    | OUTSIDE NAME ["(" argument* ")"] [COUNT]      -> outside
item_header: "HDR" "(" argument* ")"
item_protection: "SK" "{" argument* "}"
argument: VALUE "=" value                           -> named
        | value                                     -> positional
value: (NOT)? (VALUE | STRING | REPEATED)

modifier: "as" NAME                                 -> label
        | "answers" NAME                            -> answers
        | "on" NAME                                 -> on_sa
        | "within" TIME                             -> within
        | "from" PORT                               -> source
        | "to" PORT                                 -> destination
        | FLAG                                      -> flag
tag: "[" LEVEL REQUIREMENT ("," REQUIREMENT)* "]"

PEER_VERB.2: /(initiate|create|rekey|delete|liveness|ping)(?![\w-])/
FLAG.2: /(unencrypted|ordered|reversed|hold|drop|twice|request|response)(?![\w-])/
OUTSIDE.2: /(before|after) +SK(?![\w-])/
LEVEL: /(MUST|SHOULD|MAY|INFO)(?![\w-])/
EXCHANGE: "EXCHANGE"
ESP.2: /(ESP|AH)(?![\w-])/
CLEAR.2: /clear(?![\w-])/
NOT.3: /not(?= )/
SIGN: "+" | "-"
COUNT.2: /x[0-9]+/
PORT: /[a-z0-9][a-z0-9.:\/-]*/
TIME: /[0-9]+(\.[0-9]+)?(ms|s)/
COUNTED: /([+=] *)?[0-9]+/
REQUIREMENT: /[A-Za-z0-9][A-Za-z0-9.#:-]*/
NAME: /[A-Za-z_][A-Za-z0-9_-]*/
REPEATED.3: /[0-9a-fA-F]{2} +x[0-9]+/
STRING: /"[^"]*"/
VALUE: /[^\s(){}\[\]=,"#]+/
%ignore /[ \t]+/
"""
_TERMINAL_WORDS = {
    "NAME": "a name",
    "VALUE": "a value",
    "TIME": "a time such as 500ms or 2s",
    "STRING": "a text in quotes",
    "REPEATED": "octets",
    "REQUIREMENT": "a requirement id",
    "LEVEL": "MUST, SHOULD, MAY or INFO",
    "PORT": "a port word",
    "COUNTED": "a number such as +1 or =2",
    "$END": "the end of the line",
}


@dataclass(frozen=True, slots=True)
class ScriptSyntaxError(Exception):
    """A line that the grammar does not take: 1-based column in the line."""

    column: int
    message: str
    hint: str = ""


@cache
def parser() -> Lark:
    """The LALR parser of one line, made once."""
    return Lark(GRAMMAR, parser="lalr", lexer="contextual", propagate_positions=True, maybe_placeholders=True)


def parse_line(text: str) -> Tree[Token]:
    """The tree of one logical line; ScriptSyntaxError says what does not fit and what may have been meant."""
    try:
        return parser().parse(text)
    except UnexpectedEOF:  # pragma: no cover - LALR reports the end as an UnexpectedToken
        raise ScriptSyntaxError(len(text) + 1, "the line ends too early") from None
    except UnexpectedInput as error:
        raise _problem(text, error) from None


def _problem(text: str, error: UnexpectedInput) -> ScriptSyntaxError:
    wanted: set[str] = set()
    if isinstance(error, UnexpectedToken):
        wanted = set(error.accepts or error.expected)
        if error.token.type == "$END":
            return ScriptSyntaxError(len(text.rstrip()) + 1, "the line ends too early", _expectation(wanted))
    elif isinstance(error, UnexpectedCharacters):
        wanted = set(error.allowed or ())
    column = error.column if error.column > 0 else len(text) + 1
    found = re.match(r"[A-Za-z_][\w-]*|\S", text[column - 1 :])
    word = found.group() if found else ""
    near = nearest(word, _literals(wanted))
    hint = f"did you mean {near!r}?" if near else _expectation(wanted)
    return ScriptSyntaxError(column, f"{word!r} does not fit here", hint)


def _literals(terminals: set[str]) -> list[str]:
    definitions = {t.name: t for t in parser().terminals}
    words: list[str] = []
    for name in terminals:
        if name in definitions:
            pattern = definitions[name].pattern
            if pattern.type == "str":
                words.append(pattern.value)
            elif choice := re.match(r"\(([A-Za-z|]+)\)", pattern.value):
                words += choice.group(1).split("|")
    return words


def _expectation(terminals: set[str]) -> str:
    words = sorted({_TERMINAL_WORDS[t] for t in terminals if t in _TERMINAL_WORDS})
    words += sorted(repr(w) for w in _literals(terminals))
    return "expected " + (", ".join(words[:6]) if words else "something else") if words else ""


def nearest(word: str, known: list[str]) -> str | None:
    """The known word that looks most like word, or None."""
    folded = {k.lower(): k for k in known}
    found = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None
