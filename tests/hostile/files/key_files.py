"""Key files of every notation with lines, words and octets changed."""

import random
import re
from functools import cache
from pathlib import Path

from ipsectest.decrypt.keys import convert, detect
from ipsectest.decrypt.keys.model import KeyRing
from tests.hostile.files.samples import ROOT, samples
from tests.hostile.mutation import mutate

_LONGEST = 4000
"""Octets of a file: logs are taken in pieces."""
_WORD = re.compile(rb"[0-9A-Za-z_.:-]+")
_WORDS = (
    b"", b"0", b"0x", b"-1", b"*", b"any", b"9" * 10, b"9" * 5000, b"0x" + b"f" * 9, b"f" * 129,
    "\u0661\u0662".encode(), b"\xc2\xb2", b"::", b"fe80::1%;id", b"$(id)", b"1.2.3.4.5", b"255.255.255.255",
    b"nan", b"null", b"\0", b"\xff\xfe", b"\\", b'"', b"'", b"[[esp]]", b"{", b"#",
)  # fmt: skip
_CILIUM = (
    b"3 rfc4106(gcm(aes)) " + b"0123456789abcdef" * 2 + b"01234567 128\n"
    b"4+ rfc4106(gcm(aes)) " + b"0123456789abcdef" * 2 + b"01234567 128\n"
    b"1 hmac(sha256) 0x" + b"ab" * 32 + b" cbc(aes) 0x" + b"cd" * 16 + b"\n"
    b'  keys: "MyByZmM0MTA2KGdjbShhZXMpKSAwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3IDEyOAo="\n'
)
_PSK = b': PSK "secret"\nsecret = 0sFpZAZqEN6Ti9sqt4ZP5EWcqx\ncrypto isakmp key x\n'


@cache
def texts() -> tuple[tuple[str, bytes], ...]:
    """(notation, file) of every kind that is read."""
    kept = sorted(path for path in (ROOT / "tests" / "vectors" / "keys").iterdir() if path.name != "README.md")
    made = [(path.name, path.read_bytes()) for path in kept]
    made += [
        ("cilium", _CILIUM),
        ("pre-shared", _PSK),
        ("tcpdump -E", b"tcpdump -ni eth0 -E '0x01020304@192.0.2.1 aes128-cbc:0x" + b"00" * 16 + b"' esp\n"),
    ]
    for sample in samples():
        if sample.text:
            made.append((sample.name, sample.text))
        for target, write in convert.TARGETS.items():
            made += [
                (f"{target} {sample.name} {name}", text.encode()) for name, text in write(sample.ring).files.items()
            ]
    return tuple(made)


def key_file(dice: random.Random) -> bytes:
    """A file of a notation with something wrong."""
    _, whole = dice.choice(texts())
    lines = whole.split(b"\n")
    if len(whole) > _LONGEST:
        start = dice.randrange(len(lines))
        lines = lines[start : start + _LONGEST * len(lines) // len(whole)]
    for _ in range(dice.choice((0, 1, 1, 2, 4))):
        _CHANGES[dice.randrange(len(_CHANGES))](lines, dice)
    text = b"\n".join(lines)
    return mutate(text, dice) if dice.random() < 0.4 else text


def _drop(lines: list[bytes], dice: random.Random) -> None:
    if lines:
        at = dice.randrange(len(lines))
        del lines[at : at + dice.choice((1, 1, 3, 10))]


def _repeat(lines: list[bytes], dice: random.Random) -> None:
    if lines:
        at = dice.randrange(len(lines))
        lines[at:at] = lines[at : at + dice.choice((1, 3, 10))] * dice.choice((1, 1, 5))


def _splice(lines: list[bytes], dice: random.Random) -> None:
    """A line of another notation."""
    other = dice.choice(texts())[1].split(b"\n")
    lines.insert(dice.randrange(len(lines) + 1), dice.choice(other))


def _word(lines: list[bytes], dice: random.Random) -> None:
    """Another word in place of one, or of all that are the same in a line."""
    if not lines:
        return
    at = dice.randrange(len(lines))
    words = list(_WORD.finditer(lines[at]))
    if words:
        word, other = dice.choice(words), dice.choice((*_WORDS, dice.choice(words)[0]))
        lines[at] = lines[at][: word.start()] + other + lines[at][word.end() :]


def _join(lines: list[bytes], dice: random.Random) -> None:
    if len(lines) > 1:
        at = dice.randrange(len(lines) - 1)
        lines[at : at + 2] = [lines[at] + dice.choice((b"", b" ", b",", b"\\", b"\r")) + lines[at + 1]]


def _move(lines: list[bytes], dice: random.Random) -> None:
    if lines:
        lines.insert(dice.randrange(len(lines)), lines.pop(dice.randrange(len(lines))))


_CHANGES = (_drop, _repeat, _splice, _word, _word, _word, _word, _join, _move)


def read_everything(path: Path) -> KeyRing:
    """A key ring, written in every notation and read again: what is written is right. InputError of the first read."""
    ring = detect.read(path)
    assert all(str(problem).startswith(str(path)) for problem in ring.problems)
    again = path.with_name("written")
    for target, write in convert.TARGETS.items():
        for text in write(ring).files.values():
            again.write_text(text)
            found = detect.read(again)
            assert not found.problems, (target, found.problems[0].message, text[:2000])
    return ring
