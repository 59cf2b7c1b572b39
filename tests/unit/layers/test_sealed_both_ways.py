"""IKE messages are sealed in two places that share no core, the engine and the Scapy layers: one against the other."""

import random

import pytest

from ipsectest.base.iana import ExchangeType
from ipsectest.ike import protect
from ipsectest.ike.config import suites
from ipsectest.ike.sa import IkeSa
from ipsectest.ike.unsealed import Unsealed
from ipsectest.layers import IKEv2, IKEv2_Notify, IKEv2_SK, SkKeys, seal, unseal
from ipsectest.wire import Notify, parse_message
from tests.unit.ike.hand import connection, make_hand

SUITES = [
    "aes256gcm16-prfsha256-x25519",
    "aes128ccm12-prfsha512-x25519",
    "chacha20poly1305-prfsha256-x25519",
    "aes128-sha256-prfsha256-x25519",
    "aes256ctr-aesxcbc-prfaesxcbc-x25519",
    "3des-sha1-prfsha1-x25519",
]


def keyed(suite: str) -> tuple[IkeSa, IkeSa, SkKeys]:
    """Both ends of an IKE SA, and the keys of its initiator's direction for the layers."""
    offer = suites(suite)
    hand = make_hand(connection(at_alice=True, proposals=offer), connection(at_alice=False, proposals=offer))
    hand.init()
    keys = hand.alice.sa.keys
    assert keys is not None
    return hand.alice.sa, hand.bob.sa, SkKeys.of(suite, keys.sk_ei, keys.sk_ai)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 255])
@pytest.mark.parametrize("suite", SUITES)
def test_layers_open_what_the_engine_sealed(suite: str, size: int) -> None:
    alice, _, keys = keyed(suite)
    message = alice.header(ExchangeType.INFORMATIONAL, 2)
    message.payloads = [Notify(40000, bytes(size))]
    opened = unseal(IKEv2(protect.seal(alice, message, random.Random(3).randbytes)), keys)
    assert (opened.message_id, opened[IKEv2_Notify].notify_type, opened[IKEv2_Notify].data) == (2, 40000, bytes(size))


@pytest.mark.parametrize("size", [0, 1, 15, 16, 255])
@pytest.mark.parametrize("suite", SUITES)
def test_the_engine_opens_what_layers_sealed(suite: str, size: int) -> None:
    alice, bob, keys = keyed(suite)
    head = IKEv2(initiator_spi=alice.spi_i, responder_spi=alice.spi_r, exchange_type=37, flags=8, message_id=2)
    packet = seal(head / IKEv2_SK() / IKEv2_Notify(notify_type=40000, data=bytes(size)), keys)
    opened = protect.unseal(bob, parse_message(bytes(packet)))
    assert isinstance(opened, Unsealed)
    assert opened.payloads == [Notify(40000, bytes(size))]


@pytest.mark.parametrize("suite", SUITES)
def test_with_the_same_iv_both_make_the_same_octets(suite: str) -> None:
    alice, _, keys = keyed(suite)
    message = alice.header(ExchangeType.INFORMATIONAL, 2)
    message.payloads = [Notify(40000, b"octets")]
    iv = bytes(range(keys.cipher.iv_length))
    octets = protect.seal(alice, message, random.Random(3).randbytes, protect.Sealing(iv=iv))
    head = IKEv2(initiator_spi=alice.spi_i, responder_spi=alice.spi_r, exchange_type=37, flags=8, message_id=2)
    packet = seal(head / IKEv2_SK() / IKEv2_Notify(notify_type=40000, data=b"octets"), keys, iv=iv)
    assert bytes(packet) == octets
