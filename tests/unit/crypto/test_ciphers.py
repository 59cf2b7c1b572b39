"""Ciphers and integrity algorithms: sizes, hostile octets, agreement of the own modes with the library's."""

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher as Context
from cryptography.hazmat.primitives.ciphers import modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.suites import KEYWORDS, TransformSpec
from ipsectest.crypto import (
    IntegrityError,
    UnsupportedAlgorithmError,
    cipher,
    integrity,
    prf,
    supported,
)
from ipsectest.crypto.block_modes import Ccm, ctr

CIPHERS = [spec for spec in KEYWORDS.values() if spec.type == 1] + [
    TransformSpec(1, Encr.ENCR_AES_CCM_8_IIV, 128),
    TransformSpec(1, Encr.ENCR_AES_GCM_16_IIV, 256),
    TransformSpec(1, Encr.ENCR_CHACHA20_POLY1305_IIV),
]
MISSING = {"ecp224bp", "mlkem512"}


@pytest.mark.parametrize("spec", CIPHERS, ids=str)
def test_round_trip_and_sizes(spec: TransformSpec) -> None:
    algorithm = cipher(spec.id, spec.key_length)
    assert algorithm.key_length == (spec.key_length or algorithm.key_length * 8) // 8
    assert algorithm.keymat_length == algorithm.key_length + algorithm.salt_length
    key = bytes(range(algorithm.keymat_length))
    iv = bytes(8 if algorithm.implicit_iv else algorithm.iv_length)
    for size in (0, 16, 48):
        plaintext = bytes(range(size))
        sealed = algorithm.encrypt(key, iv, plaintext, b"aad")
        assert len(sealed) == size + algorithm.icv_length
        assert algorithm.decrypt(key, iv, sealed, b"aad") == plaintext
        if algorithm.is_aead:
            with pytest.raises(IntegrityError):
                algorithm.decrypt(key, iv, sealed, b"other")
        elif spec.id != Encr.ENCR_NULL and size:
            assert sealed != plaintext


@pytest.mark.parametrize("spec", CIPHERS, ids=str)
@given(iv=st.binary(max_size=20), ciphertext=st.binary(max_size=70), aad=st.binary(max_size=40))
def test_hostile_octets_raise_nothing_but_integrity_error(
    spec: TransformSpec, iv: bytes, ciphertext: bytes, aad: bytes
) -> None:
    algorithm = cipher(spec.id, spec.key_length)
    try:
        plaintext = algorithm.decrypt(bytes(range(algorithm.keymat_length)), iv, ciphertext, aad)
    except IntegrityError:
        return
    assert not algorithm.is_aead
    assert len(plaintext) == len(ciphertext)


@pytest.mark.parametrize("spec", CIPHERS, ids=str)
def test_a_key_of_a_wrong_length_is_a_value_error(spec: TransformSpec) -> None:
    algorithm = cipher(spec.id, spec.key_length)
    with pytest.raises(ValueError, match="octets of key"):
        algorithm.bind(bytes(algorithm.keymat_length + 1))


@pytest.mark.parametrize(
    ("encr_id", "bits"),
    [(12, None), (12, 64), (20, 512), (3, 192), (28, 256), (11, 128), (4, 128), (32, None), (0, None), (65535, 128)],
)
def test_unknown_ciphers_and_key_lengths_are_refused(encr_id: int, bits: int | None) -> None:
    with pytest.raises(UnsupportedAlgorithmError, match="encryption algorithm"):
        cipher(encr_id, bits)


@given(
    key=st.sampled_from([16, 24, 32]).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
    nonce=st.binary(min_size=7, max_size=13),
    plaintext=st.binary(max_size=100),
    aad=st.binary(max_size=300),
    tag=st.sampled_from([4, 6, 8, 10, 12, 14, 16]),
)
def test_own_ccm_is_the_librarys_ccm(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes, tag: int) -> None:
    assert Ccm(AES(key), tag).encrypt(nonce, plaintext, aad) == AESCCM(key, tag).encrypt(nonce, plaintext, aad)


@given(counter=st.binary(min_size=16, max_size=16) | st.just(b"\xff" * 16), data=st.binary(max_size=100))
def test_own_ctr_is_the_librarys_ctr(counter: bytes, data: bytes) -> None:
    key = AES(bytes(16))
    assert ctr(key, counter, data) == Context(key, modes.CTR(counter)).encryptor().update(data)


def test_ccm_refuses_what_its_length_fields_cannot_hold() -> None:
    ccm = Ccm(AES(bytes(16)), 8)
    for nonce, plaintext, aad in ((bytes(6), b"", b""), (bytes(14), b"", b""), (bytes(13), bytes(65536), b"")):
        with pytest.raises(ValueError, match="CCM"):
            ccm.encrypt(nonce, plaintext, aad)
    with pytest.raises(ValueError, match="too long"):
        ccm.encrypt(bytes(11), b"", bytes(0xFF00))
    with pytest.raises(ValueError, match="16 octets"):
        ctr(AES(bytes(16)), bytes(15), b"x")


def test_gmac_authenticates_iv_and_payload() -> None:
    algorithm = cipher(Encr.ENCR_NULL_AUTH_AES_GMAC, 128)
    key = bytes(range(20))
    sealed = algorithm.encrypt(key, bytes(8), b"in clear", b"aad")
    assert sealed.startswith(b"in clear")
    for iv, data in ((bytes(7) + b"\1", sealed), (bytes(8), b"I" + sealed[1:])):
        with pytest.raises(IntegrityError):
            algorithm.decrypt(key, iv, data, b"aad")


@pytest.mark.parametrize("integ_id", [9, 10, 11])
def test_gmac_of_ah_carries_its_iv_before_the_tag(integ_id: int) -> None:
    algorithm = integrity(integ_id)
    key = bytes(range(algorithm.key_length))
    field = algorithm.compute(key, b"packet", b"8 octets")
    assert field.startswith(b"8 octets")
    assert (len(field), algorithm.icv_length, algorithm.iv_length) == (24, 24, 8)
    gcm = cipher(Encr.ENCR_AES_GCM_16, (algorithm.key_length - 4) * 8)
    assert field[8:] == gcm.encrypt(key, b"8 octets", b"", b"packet")
    assert algorithm.verify(key, b"packet", field)
    assert not algorithm.verify(key, b"packet", b"9" + field[1:])


@pytest.mark.parametrize("integ_id", [1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
@given(icv=st.binary(max_size=40))
def test_hostile_icvs_are_just_wrong(integ_id: int, icv: bytes) -> None:
    algorithm = integrity(integ_id)
    key = bytes(algorithm.key_length)
    assert algorithm.verify(key, b"data", icv) is False
    assert not algorithm.verify(key, b"data", algorithm.compute(key, b"data", bytes(algorithm.iv_length))[:-1])


def test_supported_follows_the_keywords_but_for_two_groups() -> None:
    for word, spec in KEYWORDS.items():
        assert supported(spec) == (word.split("_")[-1] not in MISSING), word


@pytest.mark.parametrize(
    "spec",
    [
        TransformSpec(1, 12),
        TransformSpec(1, 3, 192),
        TransformSpec(2, 5, 256),
        TransformSpec(2, 3),
        TransformSpec(3, 12, 256),
        TransformSpec(3, 3),
        TransformSpec(4, 14, 2048),
        TransformSpec(5, 7),
        TransformSpec(13, 0),
    ],
    ids=str,
)
def test_odd_transforms_are_not_supported(spec: TransformSpec) -> None:
    assert not supported(spec)


@pytest.mark.parametrize("lookup", [prf, integrity])
def test_unknown_numbers_are_named(lookup) -> None:  # noqa: ANN001
    with pytest.raises(UnsupportedAlgorithmError, match="65000"):
        lookup(65000)
