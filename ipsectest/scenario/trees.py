"""The tree of a parsed line: words, arguments and where they stand."""

from lark import Token, Tree

from ipsectest.scenario.operands import Argument, Word

Node = Tree[Token]


def arguments_of(children: list[Node | Token]) -> list[Argument]:
    """What stands in brackets: ``field=value`` and positional values."""
    found = []
    for child in children:
        if isinstance(child, Tree) and child.data == "named":
            found.append(Argument(str(child.children[0]), word_of(child_of(child, 1)), column_of(child.children[0])))
        elif isinstance(child, Tree) and child.data == "positional":
            word = word_of(child_of(child, 0))
            found.append(Argument("", word, word.column))
    return found


def word_of(node: Node) -> Word:
    """A value as written."""
    token = node.children[-1]
    assert isinstance(token, Token)
    text = str(token)[1:-1] if token.type == "STRING" else str(token)
    return Word(text, column_of(token), token.type == "STRING", token.type == "REPEATED", len(node.children) > 1)


def column_of(where: Node | Token | str) -> int:
    """1-based column of a node in its line."""
    if isinstance(where, Tree):
        return where.meta.column
    return (where.column or 1) if isinstance(where, Token) else 1


def child_of(node: Node, index: int) -> Node:
    """A child that is a tree."""
    child = node.children[index]
    assert isinstance(child, Tree)
    return child
