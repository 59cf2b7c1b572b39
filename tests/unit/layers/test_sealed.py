"""SK layers sealed and opened with keys."""

import pytest
from scapy.packet import Raw

from ipsectest import layers, wire
from ipsectest.base.errors import InputError
from ipsectest.layers import IKEv2, SkKeys, seal, unseal

KEYS = {
    "aead": SkKeys.of("aes256gcm16-prfsha256", bytes(range(36))),
    "chacha": SkKeys.of("chacha20poly1305", bytes(range(36))),
    "cbc": SkKeys.of("aes128-sha256", bytes(range(16)), bytes(range(32))),
    "ctr": SkKeys.of("aes128ctr-sha1", bytes(range(20)), bytes(range(20))),
}


def auth() -> IKEv2:
    head = IKEv2(initiator_spi=b"initiate", responder_spi=b"responds", exchange_type="IKE_AUTH", message_id=1)
    return head / layers.IKEv2_SK() / layers.IKEv2_IDi(data="gw.example.org") / layers.IKEv2_AUTH(data=bytes(32))


@pytest.mark.parametrize("name", KEYS)
def test_what_was_sealed_opens(name: str) -> None:
    sealed = seal(auth(), KEYS[name])
    message = wire.parse_message(bytes(sealed))
    assert message.anomalies == ()
    assert [type(payload) for payload in message.payloads] == [wire.SK]
    assert message.payloads[0].first == wire.IDi.type
    opened = unseal(IKEv2(bytes(sealed)), KEYS[name])
    assert opened[layers.IKEv2_IDi].data == b"gw.example.org"
    assert opened[layers.IKEv2_AUTH].data == bytes(32)


@pytest.mark.parametrize("name", KEYS)
def test_one_altered_octet_or_another_key_does_not_open(name: str) -> None:
    octets = bytearray(bytes(seal(auth(), KEYS[name])))
    octets[20] ^= 1
    with pytest.raises(InputError, match=r"ICV|open"):
        unseal(IKEv2(bytes(octets)), KEYS[name])


def test_given_iv_and_padding_are_used() -> None:
    sealed = seal(auth(), KEYS["aead"], iv=b"eight iv", padding=b"pad")
    assert sealed[layers.IKEv2_SK].data.startswith(b"eight iv")
    assert len(sealed[layers.IKEv2_SK].data) == len(seal(auth(), KEYS["aead"])[layers.IKEv2_SK].data) + 3


def test_a_fragment_opens_to_its_octets() -> None:
    head = IKEv2(initiator_spi=b"initiate", responder_spi=b"responds", exchange_type="IKE_AUTH", message_id=1)
    whole = head / layers.IKEv2_SKF(fragment=1, total=2, first=35) / layers.IKEv2_Nonce(data=bytes(16))
    opened = unseal(seal(whole, KEYS["aead"]), KEYS["aead"])
    assert opened[layers.IKEv2_SKF].first == 35
    assert opened[Raw].load == bytes.fromhex("00000014") + bytes(16)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 23, 24, 31, 32])
@pytest.mark.parametrize("name", KEYS)
def test_short_sk_payloads_are_refused_in_words(name: str, size: int) -> None:
    packet = IKEv2() / layers.IKEv2_SK(data=bytes(size))
    with pytest.raises(InputError):
        unseal(packet, KEYS[name])


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(InputError, match="has 5 octets, 36 are needed"):
        SkKeys.of("aes256gcm16", b"short")
    with pytest.raises(InputError, match="names no cipher"):
        SkKeys.of("sha256", b"")
    with pytest.raises(InputError, match="no SK or SKF"):
        unseal(IKEv2() / layers.IKEv2_Nonce(data=b"x"), KEYS["aead"])
    with pytest.raises(InputError, match="blocks of 16"):
        seal(auth(), KEYS["cbc"], padding=b"")
