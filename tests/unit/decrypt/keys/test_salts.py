"""Salts taken away from the keys of real captures, and found again in their messages."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.crypto.ciphers import cipher
from ipsectest.crypto.gcm_salts import gcm_salt
from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.ike import IkeDatabase
from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.keys.salts import Salts
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.worker import decrypt_one
from tests.pcaps.capture import IkeFrame, Keys, frames

PCAPS = Path(__file__).parent.parent.parent.parent.parent / "pcaps"
CAPTURES = ["strongswan-responder-psk-aes128gcm16", "strongswan-initiator-psk-natt-aes128gcm16"]


@given(
    st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=8, max_size=8),
    st.binary(max_size=100),
    st.binary(max_size=40),
)
def test_the_salt_of_any_message(key: bytes, salt: bytes, iv: bytes, plaintext: bytes, aad: bytes) -> None:
    sealed = cipher(Encr.ENCR_AES_GCM_16, 8 * len(key)).encrypt(key + salt, iv, plaintext, aad)
    assert gcm_salt(key, iv, sealed, aad) == salt
    damaged = bytes([sealed[0] ^ 1]) + sealed[1:]
    assert gcm_salt(key, iv, damaged, aad) is None
    assert gcm_salt(key, iv, sealed, aad + b"x") is None
    assert gcm_salt(bytes(len(key)), iv, sealed, aad) in {None, salt if key == bytes(len(key)) else None}
    assert gcm_salt(key[:-1], iv, sealed, aad) is None
    assert gcm_salt(key, iv, sealed[:15], aad) is None


@pytest.mark.parametrize("name", CAPTURES)
def test_messages_open_with_what_they_told(name: str) -> None:
    path = PCAPS / f"{name}.pcapng"
    whole = detect.read(path.with_suffix(".keys.toml")).ike
    salts = Salts(replace(one, sk_ei=one.sk_ei[:-4], sk_er=one.sk_er[:-4]) for one in whole)
    opener, found = IkeDatabase(), []
    encrypted = 0
    for frame in frames(path, Keys(path.with_suffix(".keys.toml").read_text())):
        if not isinstance(frame, IkeFrame):
            continue
        told = salts.offer(frame.octets)
        if told:
            opener.add(told)
            found.append(told)
        opened = opener.open(frame.octets)
        assert opened
        assert opened.is_clear, frame.number
        encrypted += opened.is_encrypted
    assert encrypted >= 10
    assert len(found) == 2 * len(whole)
    assert found[1::2] == whole


@pytest.mark.parametrize("name", CAPTURES)
def test_decrypt_does_without_salts(name: str) -> None:
    whole = detect.read(PCAPS / f"{name}.keys.toml").ike
    ring = KeyRing(without_salt=[replace(one, sk_ei=one.sk_ei[:-4], sk_er=one.sk_er[:-4]) for one in whole])
    run = Decryption(ring)
    capture = open_capture(str(PCAPS / f"{name}.pcapng"))
    decrypt_one(run, capture, None, fast=False)
    capture.close()
    assert run.totals.ike_opened >= 10
    assert run.totals.ike_closed == 0
    assert len(run.derived) >= 2


@given(st.binary(max_size=200))
def test_any_octets_tell_nothing(octets: bytes) -> None:
    (one, *_) = detect.read(PCAPS / f"{CAPTURES[0]}.keys.toml").ike
    salts = Salts([replace(one, sk_ei=one.sk_ei[:-4], sk_er=one.sk_er[:-4])])
    assert salts.offer(octets) is None
    assert salts.offer(one.spi_i + one.spi_r + octets) is None
