"""Sealing and opening: round trips for every suite, and nothing but drops for damaged octets."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsectest.base.iana import ExchangeType
from ipsectest.ike import protect
from ipsectest.ike.config import suites
from ipsectest.ike.events import Drop, DropReason
from ipsectest.ike.policy import Policy
from ipsectest.ike.protect import Sealing, Unsealed
from ipsectest.ike.sa import IkeSa
from ipsectest.wire import SK, Notify, UnknownPayload, parse_message
from tests.unit.ike.hand import connection, make_hand

SUITES = [
    "aes128gcm16-prfsha256-x25519",
    "aes256gcm8-prfsha384-x25519",
    "aes128ccm12-prfsha512-x25519",
    "chacha20poly1305-prfsha256-x25519",
    "aes128-sha256-prfsha256-x25519",
    "aes256ctr-aesxcbc-prfaesxcbc-x25519",
    "3des-sha1-prfsha1-x25519",
    "camellia256-aescmac-prfaescmac-x25519",
    "null-sha256-prfsha256-x25519",
]
RANDOM = random.Random(3).randbytes


def keyed(suite: str) -> tuple[IkeSa, IkeSa]:
    offer = suites(suite)
    hand = make_hand(connection(at_alice=True, proposals=offer), connection(at_alice=False, proposals=offer))
    hand.init()
    return hand.alice.sa, hand.bob.sa


def sealed(sa: IkeSa, size: int = 20, sealing: Sealing | None = None) -> bytes:
    message = sa.header(ExchangeType.INFORMATIONAL, 2)
    message.payloads = [Notify(40000, bytes(size))]
    return protect.seal(sa, message, RANDOM, sealing)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 255])
def test_both_directions_round_trip(suite: str, size: int) -> None:
    ends = keyed(suite)
    for sender, receiver in (ends, ends[::-1]):
        opened = protect.unseal(receiver, parse_message(sealed(sender, size)))
        assert isinstance(opened, Unsealed)
        assert opened.payloads == [Notify(40000, bytes(size))]
        assert opened.message.message_id == 2


@pytest.mark.parametrize("suite", SUITES)
def test_one_direction_does_not_open_the_other(suite: str) -> None:
    alice, _ = keyed(suite)
    assert isinstance(protect.unseal(alice, parse_message(sealed(alice))), Drop)


@pytest.mark.parametrize("suite", SUITES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_every_flipped_bit_is_noticed(suite: str, data: st.DataObject) -> None:
    alice, bob = keyed(suite)
    octets = bytearray(sealed(alice))
    at = data.draw(st.integers(0, len(octets) * 8 - 1))
    octets[at // 8] ^= 1 << at % 8
    message = parse_message(bytes(octets))
    if message.length is None:
        assert isinstance(protect.unseal(bob, message), Drop)


@pytest.mark.parametrize("suite", SUITES)
@given(cut=st.integers(1, 100))
@settings(max_examples=20, deadline=None)
def test_every_cut_is_noticed(suite: str, cut: int) -> None:
    alice, bob = keyed(suite)
    octets = sealed(alice)
    message = parse_message(octets[: max(0, len(octets) - cut)])
    assert isinstance(protect.unseal(bob, message), Drop)


def test_padding_may_hold_anything_and_be_long() -> None:
    alice, bob = keyed(SUITES[4])
    opened = protect.unseal(bob, parse_message(sealed(alice, 3, Sealing(padding=b"\xaa" * (256 - 11 - 1)))))
    assert isinstance(opened, Unsealed)
    assert opened.payloads == [Notify(40000, bytes(3))]


def test_pad_length_beyond_the_plaintext_is_dropped() -> None:
    alice, bob = keyed(SUITES[0])
    drop = protect.unseal(bob, parse_message(sealed(alice, 3, Sealing(pad_length=200))))
    assert isinstance(drop, Drop)
    assert drop.reason is DropReason.BAD_PADDING


def test_empty_plaintext_is_dropped() -> None:
    alice, bob = keyed(SUITES[0])
    drop = protect.unseal(bob, parse_message(sealed(alice, 3, Sealing(plaintext=b""))))
    assert isinstance(drop, Drop)


def test_payloads_before_sk_are_authenticated_and_kept() -> None:
    alice, bob = keyed(SUITES[0])
    octets = sealed(alice, 3, Sealing(before=[UnknownPayload(200, b"clear")]))
    opened = protect.unseal(bob, parse_message(octets))
    assert isinstance(opened, Unsealed)
    assert [p.type for p in opened.message.payloads] == [200, 41]
    damaged = octets.replace(b"clear", b"cleat")
    assert isinstance(protect.unseal(bob, parse_message(damaged)), Drop)


def test_forced_fields_of_the_sk_payload_stand_on_the_wire() -> None:
    alice, _ = keyed(SUITES[0])
    octets = sealed(alice, 3, Sealing(payload=SK(b"", critical=True, reserved=1), iv=b"8 octets"))
    sk = parse_message(octets).get(SK)
    assert (sk.critical, sk.reserved, sk.data[:8]) == (True, 1, b"8 octets")


def test_unprotected_and_keyless_are_drops() -> None:
    alice, bob = keyed(SUITES[0])
    clear = replace(alice.header(37, 2), raw=bytes(28))
    assert protect.unseal(bob, clear).reason is DropReason.UNPROTECTED
    message = parse_message(sealed(alice))
    bob.keys = None
    assert protect.unseal(bob, message).reason is DropReason.NO_KEYS
    with pytest.raises(LookupError):
        sealed(bob)


@given(st.binary(max_size=200), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_arbitrary_sk_data_never_raises(data: bytes, first: int) -> None:
    _, bob = keyed(SUITES[4])
    message = bob.header(37, 2)
    message.payloads = [SK(data, first)]
    message.raw = bytes(32) + data
    assert isinstance(protect.unseal(bob, message, Policy()), Drop)
