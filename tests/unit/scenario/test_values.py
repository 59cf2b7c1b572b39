import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.crypto.modp import modp_group
from ipsectest.scenario import operands
from ipsectest.scenario.model import Between, ChildSpi, Copied, Damage, Holds, Inverse, Number, Octets, Offset
from ipsectest.scenario.operands import Word
from ipsectest.scenario.syntax import ScriptSyntaxError
from ipsectest.scenario.values import Values, damaged


def spi_of(child: str, side: str, by_us: bool) -> bytes:
    return f"{child}{side[0]}{by_us:d}".encode()


VALUES = Values(bytes, lambda label, part: f"{label}.{part}".encode(), spi_of)


@given(st.binary(max_size=40))
def test_damage_changes_what_it_says(correct: bytes) -> None:
    assert len(damaged("flip", correct)) == max(len(correct), 1)
    assert damaged("flip", correct) != correct
    assert damaged("long", correct)[: len(correct)] == correct
    assert damaged("short", correct) == correct[:-1]
    assert len(damaged("zeros", correct)) == len(damaged("ones", correct)) == len(correct)


def test_the_words_for_modp_values_fill_the_group() -> None:
    parameters = modp_group(14)
    assert parameters is not None
    public = bytes(256)
    assert damaged("prime", public, 14) == parameters.prime.to_bytes(256, "big")
    assert int.from_bytes(damaged("prime-1", public, 14), "big") == parameters.prime - 1
    assert damaged("one", public, 14) == bytes(255) + b"\x01"
    assert damaged("prime", bytes(32), 31) == b"\xff" * 32


@pytest.mark.parametrize(
    ("operand", "octets"),
    [
        (Octets(b"ab"), b"ab"),
        (Copied("first", "KE"), b"first.KE"),
        (ChildSpi("net"), b"nets1"),
        (Holds((2, 3)), b"\x00\x02\x00\x03"),
        (Damage("long"), b"abc\x00"),
    ],
)
def test_octets_of_a_sent_field(operand: object, octets: bytes) -> None:
    assert VALUES.octets(operand, b"abc") == octets  # type: ignore[arg-type]


def test_numbers_are_absolute_or_relative() -> None:
    assert VALUES.number(Number(7), 3) == 7
    assert VALUES.number(Offset(-2), 3) == 1
    with pytest.raises(LookupError):
        VALUES.number(Between(1, 2), 3)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_a_range_and_its_inverse(low: int, high: int, actual: int) -> None:
    inside = low <= actual <= high
    assert VALUES.fits_number(Between(low, high), actual) is inside
    assert VALUES.fits_number(Inverse(Between(low, high)), actual) is not inside


def test_hash_lists() -> None:
    announced = b"\x00\x01\x00\x02\x00\x03"
    assert VALUES.fits_octets(Holds((2, 3)), announced)
    assert not VALUES.fits_octets(Holds((), (1,)), announced)
    assert operands.hashes(Word("sha256-sha1", 1)) == Holds((2,), (1,))


@pytest.mark.parametrize(
    ("text", "data"), [("0x0102", b"\1\2"), ("5a", b"Z"), ("empty", b""), ("00 x3", bytes(3)), ("ff x2", b"\xff\xff")]
)
def test_octets_as_written(text: str, data: bytes) -> None:
    word = Word(text, 1, repeated=" x" in text)
    assert operands.octets(word) == Octets(data)


@pytest.mark.parametrize("text", ["0x123", "0xzz", "flop", "00 x99999"])
def test_what_is_no_octets(text: str) -> None:
    with pytest.raises(ScriptSyntaxError):
        operands.octets(Word(text, 5, repeated=" x" in text))


@pytest.mark.parametrize(("text", "side"), [("net", "sender"), ("net.ours", "ours"), ("net.theirs", "theirs")])
def test_spis_by_name(text: str, side: str) -> None:
    assert operands.spi(Word(text, 1)) == ChildSpi("net", side)


@given(st.text(max_size=20))
def test_words_never_raise_anything_but_syntax_errors(text: str) -> None:
    for read in (operands.number, operands.octets, operands.spi, operands.hashes):
        try:
            read(Word(text, 1))
        except ScriptSyntaxError:
            continue
