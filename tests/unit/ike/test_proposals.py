"""Choosing and accepting suites."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.iana import ProtocolId
from ipsectest.base.suites import KEYWORDS, TransformSpec, parse_suite
from ipsectest.crypto import supported
from ipsectest.ike import proposals
from ipsectest.ike.config import DEFAULT_ESP, DEFAULT_IKE, Suite
from ipsectest.wire import SA, Attribute, Proposal, Transform

IKE, ESP = ProtocolId.IKE, ProtocolId.ESP
REST = "prfsha256-x25519"


def chosen(offered: str, wanted: str, protocol: int = IKE) -> str | None:
    spi = b"" if protocol == IKE else b"spi!"
    sent = proposals.offer([parse_suite(text) for text in offered.split()], protocol, spi)
    choice = proposals.choose(sent, [parse_suite(text) for text in wanted.split()], protocol, len(spi))
    return None if choice is None else f"{choice.number} {choice}"


@pytest.mark.parametrize(
    ("offered", "wanted", "expected"),
    [
        (f"aes128gcm16-{REST}", f"aes128gcm16-{REST}", f"1 aes128gcm16-{REST}"),
        (f"aes256-sha256-{REST} aes128gcm16-{REST}", f"aes128gcm16-{REST}", f"2 aes128gcm16-{REST}"),
        (f"aes128gcm16-aes256gcm16-{REST}", f"aes256gcm16-aes128gcm16-{REST}", f"1 aes256gcm16-{REST}"),
        (f"aes128gcm16-integnone-{REST}", f"aes128gcm16-{REST}", f"1 aes128gcm16-integnone-{REST}"),
        (f"aes128gcm16-sha256-{REST}", f"aes128gcm16-{REST}", None),
        (f"aes128-aes128gcm16-sha256-{REST}", f"aes128-sha256-{REST}", f"1 aes128-sha256-{REST}"),
        (f"aes128-{REST}", f"aes128-sha256-{REST}", None),
        ("aes128gcm16-prfsha256", f"aes128gcm16-{REST}", None),
        (f"aes128gcm16-{REST}", f"aes256gcm16-{REST}", None),
        (f"aes128gcm16-{REST}-ke1_mlkem768", f"aes128gcm16-{REST}", None),
    ],
)  # fmt: skip
def test_ike_choices(offered: str, wanted: str, expected: str | None) -> None:
    assert chosen(offered, wanted) == expected


@pytest.mark.parametrize(
    ("offered", "wanted", "expected"),
    [
        ("aes128gcm16-noesn", "aes128gcm16-noesn", "1 aes128gcm16-noesn"),
        ("aes128gcm16-esn-noesn", "aes128gcm16-noesn", "1 aes128gcm16-noesn"),
        ("aes128gcm16-x25519-noesn", "aes128gcm16-noesn", None),
        ("aes128gcm16-x25519-modpnone-noesn", "aes128gcm16-noesn", "1 aes128gcm16-modpnone-noesn"),
        ("aes128gcm16-noesn", "aes128gcm16-x25519-noesn", None),
        ("null-sha256-noesn", "null-sha256-noesn", "1 null-sha256-noesn"),
        ("aes128gcm16", "aes128gcm16-noesn", None),
    ],
)
def test_child_choices(offered: str, wanted: str, expected: str | None) -> None:
    assert chosen(offered, wanted, ESP) == expected


def test_unknown_attribute_spoils_its_transform_only() -> None:
    sent = proposals.offer([parse_suite("aes256gcm16-aes128gcm16-prfsha256-x25519")], IKE, b"")
    sent[0].transforms[0].attributes.append(Attribute(99, 1))
    choice = proposals.choose(sent, [parse_suite("aes256gcm16-aes128gcm16-prfsha256-x25519")], IKE, 0)
    assert str(choice) == "aes128gcm16-prfsha256-x25519"


def test_unknown_transform_type_spoils_the_proposal() -> None:
    sent = proposals.offer([parse_suite("aes128gcm16-prfsha256-x25519")] * 2, IKE, b"")
    sent[0].transforms.append(Transform(99, 1))
    assert chosen_number(sent) == 2


def chosen_number(sent: list[Proposal]) -> int | None:
    choice = proposals.choose(sent, [parse_suite("aes128gcm16-prfsha256-x25519")], IKE, 0)
    return choice and choice.number


@pytest.mark.parametrize("spi", [b"\1", bytes(8)])
def test_spi_in_a_first_proposal_is_not_acceptable(spi: bytes) -> None:
    assert chosen_number(proposals.offer([parse_suite("aes128gcm16-prfsha256-x25519")], IKE, spi)) is None


specs = st.sampled_from([spec for spec in KEYWORDS.values() if spec.type <= 5])
odd = st.builds(TransformSpec, st.integers(0, 255), st.integers(0, 65535), st.none() | st.integers(0, 65535))
suite = st.lists(specs | odd, max_size=12).map(tuple)


@given(st.lists(suite, max_size=3), st.lists(suite, max_size=3), st.sampled_from([1, 2, 3]))
def test_a_choice_is_one_supported_transform_of_each_offered_type(
    offered: list[Suite], wanted: list[Suite], protocol: int
) -> None:
    sent = proposals.offer(offered, protocol, b"spi!")
    choice = proposals.choose(sent, wanted, protocol, 4)
    if choice is None:
        return
    source = offered[choice.number - 1]
    assert set(choice.transforms) <= set(source)
    assert [t.type for t in choice.transforms].count(1) <= 1
    assert {t.type for t in choice.transforms} == {t.type for t in source}
    assert all(supported(t) for t in choice.transforms)
    answered = proposals.answer(choice, b"mine")
    assert proposals.accept(sent, answered, 4) is not None


@given(suite)
def test_an_answer_outside_the_offer_is_not_accepted(answer: Suite) -> None:
    sent = proposals.offer([parse_suite("aes128gcm16-prfsha256-x25519")], IKE, b"")
    answered = SA(proposals.offer([answer], IKE, b""))
    accepted = proposals.accept(sent, answered, 0)
    assert (accepted is not None) == (Counter(answer) == Counter(parse_suite("aes128gcm16-prfsha256-x25519")))


def test_two_answered_proposals_are_not_accepted() -> None:
    sent = proposals.offer([parse_suite("aes128gcm16-prfsha256-x25519")] * 2, IKE, b"")
    assert proposals.accept(sent, SA(sent), 0) is None


def test_work_per_proposal_is_bounded() -> None:
    """Every AEAD beside every integrity algorithm: thousands of combinations, none of them sound."""
    words = [w for w in KEYWORDS if "gcm" in w or "ccm" in w or w.startswith(("prf", "sha", "aesxcbc", "modp1", "ecp"))]
    everything = parse_suite("-".join(words))
    sent = proposals.offer([everything] * 10, IKE, b"")
    assert proposals.choose(sent, [everything] * 3, IKE, 0) is None


def test_defaults_offer_nothing_weak() -> None:
    words = {str(spec) for suites in (DEFAULT_IKE, DEFAULT_ESP) for one in suites for spec in one}
    weak = {
        "des",
        "3des",
        "null",
        "md5",
        "sha1",
        "prfmd5",
        "prfsha1",
        "modp768",
        "modp1024",
        "modp1536",
        "modp1024s160",
    }
    assert not words & weak
    for suites in (DEFAULT_IKE, DEFAULT_ESP):
        for one in suites:
            ciphers = [proposals.Chosen(0, 0, b"", (spec,)).cipher for spec in one if spec.type == 1]
            assert len({c.is_aead for c in ciphers}) == 1
