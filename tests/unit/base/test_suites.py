import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.suites import KEYWORDS, TransformSpec, UnknownKeywordError, format_suite, parse_suite


def test_a_suite_names_transforms_in_order() -> None:
    assert parse_suite("aes128gcm16-prfsha256-modp2048") == (
        TransformSpec(1, 20, 128),
        TransformSpec(2, 5),
        TransformSpec(4, 14),
    )


def test_numbers_of_iana_that_tutorials_confuse() -> None:
    # Group 19 is P-256; Curve25519 is 31 (RFC 5903, RFC 8031).
    assert KEYWORDS["ecp256"].id == 19
    assert KEYWORDS["x25519"].id == 31
    assert parse_suite("curve448")[0].id == 32


@pytest.mark.parametrize(
    ("text", "offset", "suggestion"),
    [("aes128gcm61", 0, "aes128gcm16"), ("aes128-sha265-modp2048", 7, "sha256"), ("", 0, None)],
)
def test_an_unknown_word_is_placed_and_a_near_one_suggested(text: str, offset: int, suggestion: str | None) -> None:
    with pytest.raises(UnknownKeywordError) as caught:
        parse_suite(text)
    assert (caught.value.offset, caught.value.suggestion) == (offset, suggestion)


def test_numbers_name_what_has_no_keyword() -> None:
    assert parse_suite("3/99-1/20/128") == (TransformSpec(3, 99), TransformSpec(1, 20, 128))
    assert format_suite(parse_suite("3/99-1/20/128")) == "3/99-aes128gcm16"


@given(st.lists(st.sampled_from(sorted(KEYWORDS.values())), min_size=1, max_size=12))
def test_format_is_the_inverse_of_parse(specs: list[TransformSpec]) -> None:
    assert parse_suite(format_suite(specs)) == tuple(specs)


@given(st.text(max_size=40))
def test_any_text_parses_or_is_refused_with_its_place(text: str) -> None:
    placed = refused = None
    try:
        placed = parse_suite(text)
    except UnknownKeywordError as error:
        refused = error
    if refused is None:
        assert placed is not None
        assert len(placed) == text.count("-") + 1
    else:
        assert text[refused.offset :].startswith(refused.word)
