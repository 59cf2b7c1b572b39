"""Key derivation and AUTH octets."""

import hmac

import pytest

from ipsectest.crypto import cipher, integrity, keys, prf

NI, NR = bytes(range(32)), bytes(range(100, 132))
SPI_I, SPI_R = b"initiatr", b"respondr"


def test_prf_plus_chains_blocks_and_ends_after_255() -> None:
    sha256 = prf(5)
    first = hmac.digest(b"key", b"seed\x01", "sha256")
    second = hmac.digest(b"key", first + b"seed\x02", "sha256")
    assert sha256.plus(b"key", b"seed", 50) == (first + second)[:50]
    assert len(sha256.plus(b"key", b"seed", 255 * 32)) == 255 * 32
    assert sha256.plus(b"key", b"seed", 0) == b""
    with pytest.raises(ValueError, match="255 blocks"):
        sha256.plus(b"key", b"seed", 255 * 32 + 1)


def test_ike_keys_are_cut_in_order_and_aead_has_no_sk_a() -> None:
    sha256 = prf(5)
    seed = keys.skeyseed(sha256, b"secret", NI, NR)
    assert seed == hmac.digest(NI + NR, b"secret", "sha256")
    cbc = keys.ike_keys(sha256, cipher(12, 128), integrity(12), seed, ni=NI, nr=NR, spi_i=SPI_I, spi_r=SPI_R)
    stream = sha256.plus(seed, NI + NR + SPI_I + SPI_R, 3 * 32 + 2 * 32 + 2 * 16)
    assert b"".join([cbc.sk_d, cbc.sk_ai, cbc.sk_ar, cbc.sk_ei, cbc.sk_er, cbc.sk_pi, cbc.sk_pr]) == stream
    assert (len(cbc.sk_ai), len(cbc.sk_ei)) == (32, 16)
    gcm = keys.ike_keys(sha256, cipher(20, 128), None, seed, ni=NI, nr=NR, spi_i=SPI_I, spi_r=SPI_R)
    assert gcm.sk_ai == gcm.sk_ar == b""
    assert (len(gcm.sk_ei), len(gcm.sk_er), len(gcm.sk_pi)) == (20, 20, 32)


@pytest.mark.parametrize("prf_id", [4, 8])
def test_block_cipher_prfs_take_64_bits_of_each_nonce_for_skeyseed_only(prf_id: int) -> None:
    algorithm = prf(prf_id)
    assert keys.skeyseed(algorithm, b"secret", NI, NR) == algorithm.compute(NI[:8] + NR[:8], b"secret")
    rekeyed = keys.rekey_skeyseed(algorithm, bytes(16), b"secret", NI, NR)
    assert rekeyed == algorithm.compute(bytes(16), b"secret" + NI + NR)


def test_child_keys_take_the_initiators_direction_first() -> None:
    sha256 = prf(5)
    stream = keys.child_keymat(sha256, b"d" * 32, NI, NR, 96)
    child = keys.child_keys(sha256, b"d" * 32, cipher(12, 128), integrity(12), ni=NI, nr=NR)
    assert child.encryption_i + child.integrity_i + child.encryption_r + child.integrity_r == stream
    assert (len(child.encryption_i), len(child.integrity_i)) == (16, 32)
    with_pfs = keys.child_keys(sha256, b"d" * 32, cipher(20, 256), None, ni=NI, nr=NR, secret=b"g^ir")
    assert with_pfs.encryption_i + with_pfs.encryption_r == sha256.plus(b"d" * 32, b"g^ir" + NI + NR, 72)
    ah = keys.child_keys(sha256, b"d" * 32, None, integrity(12), ni=NI, nr=NR)
    assert (ah.encryption_i, len(ah.integrity_r)) == (b"", 32)


def test_psk_auth_pads_the_secret_with_the_key_pad() -> None:
    sha256 = prf(5)
    octets = keys.signed_octets(sha256, b"message", NR, b"p" * 32, b"\x02\0\0\0id", int_auth=b"int")
    assert octets == b"message" + NR + sha256.compute(b"p" * 32, b"\x02\0\0\0id") + b"int"
    inner = hmac.digest(b"secret", b"Key Pad for IKEv2", "sha256")
    assert keys.psk_auth(sha256, b"secret", octets) == hmac.digest(inner, octets, "sha256")


def test_ppk_changes_only_sk_d_and_sk_p() -> None:
    sha256 = prf(5)
    before = keys.ike_keys(sha256, cipher(20, 256), None, b"seed", ni=NI, nr=NR, spi_i=SPI_I, spi_r=SPI_R)
    after = keys.mix_ppk(sha256, before, b"ppk")
    assert after.sk_d == sha256.plus(b"ppk", before.sk_d, 32)
    assert (after.sk_ei, after.sk_er) == (before.sk_ei, before.sk_er)
    assert after.sk_pi != before.sk_pi != before.sk_pr != after.sk_pr
