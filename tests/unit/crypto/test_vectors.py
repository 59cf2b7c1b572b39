"""Every algorithm against published vectors."""

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import Camellia
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from ipsectest.base.clock import RandomBytes
from ipsectest.crypto import IntegrityError, cipher, integrity, key_exchange, keys, prf
from ipsectest.crypto.block_modes import Ccm
from tests.unit.crypto.crypto_vectors import Vector, load

CIPHER_FILES = [
    "aes_cbc",
    "aes_ctr",
    "aes_gcm",
    "aes_ccm",
    "aes_gmac",
    "camellia_cbc",
    "camellia_ctr",
    "chacha20_poly1305",
    "triple_des",
]


@pytest.mark.parametrize("vector", [entry for name in CIPHER_FILES for entry in load(name)])
def test_cipher_vectors_both_ways(vector: Vector) -> None:
    algorithm = cipher(vector["id"], vector.get("bits"))
    bound = algorithm.bind(vector.octets("key"))
    iv, aad = vector.octets("iv"), vector.octets("aad")
    assert len(iv) == algorithm.iv_length
    assert bound.encrypt(iv, vector.octets("plaintext"), aad) == vector.octets("ciphertext")
    assert bound.decrypt(iv, vector.octets("ciphertext"), aad) == vector.octets("plaintext")
    if algorithm.is_aead:
        damaged = bytearray(vector.octets("ciphertext"))
        damaged[-1] ^= 1
        with pytest.raises(IntegrityError):
            bound.decrypt(iv, bytes(damaged), aad)


@pytest.mark.parametrize("vector", load("ccm", "ccm"))
def test_ccm_vectors_both_ways(vector: Vector) -> None:
    algorithm = {"AES": AES, "Camellia": Camellia}[vector["algorithm"]]
    ccm = Ccm(algorithm(vector.octets("key")), len(vector.octets("tag")))
    sealed = vector.octets("ciphertext") + vector.octets("tag")
    assert ccm.encrypt(vector.octets("nonce"), vector.octets("plaintext"), vector.octets("aad")) == sealed
    assert ccm.decrypt(vector.octets("nonce"), sealed, vector.octets("aad")) == vector.octets("plaintext")


@pytest.mark.parametrize("vector", load("prf"))
def test_prf_vectors(vector: Vector) -> None:
    assert prf(vector["id"]).compute(vector.octets("key"), vector.octets("data")) == vector.octets("output")


@pytest.mark.parametrize("vector", load("integrity"))
def test_integrity_vectors(vector: Vector) -> None:
    algorithm = integrity(vector["id"])
    key, data, icv = vector.octets("key"), vector.octets("data"), vector.octets("icv")
    assert len(key) == algorithm.key_length
    assert algorithm.compute(key, data) == icv
    assert algorithm.verify(key, data, icv)
    assert not algorithm.verify(key, data + b"x", icv)


@pytest.mark.parametrize("vector", load("diffie_hellman"))
def test_diffie_hellman_vectors_in_both_roles(vector: Vector) -> None:
    exchange = key_exchange(vector["group"])
    ours = exchange.initiate(as_random(vector.octets("private_a"), vector["group"]))
    assert ours.public == vector.octets("public_a")
    assert ours.finish(vector.octets("public_b")) == vector.octets("secret")
    random = as_random(vector.octets("private_b"), vector["group"])
    assert exchange.respond(vector.octets("public_a"), random) == (vector.octets("public_b"), vector.octets("secret"))


@pytest.mark.parametrize("vector", load("ml_kem"))
def test_ml_kem_vectors(vector: Vector) -> None:
    exchange = key_exchange(vector["group"])
    share = exchange.initiate(lambda size: vector.octets("seed")[:size])
    assert share.public == vector.octets("public")
    assert share.finish(vector.octets("ciphertext")) == vector.octets("secret")
    ciphertext, secret = exchange.respond(share.public, bytes)
    assert share.finish(ciphertext) == secret


@pytest.mark.parametrize("vector", load("ike_kdf"))
def test_ike_key_derivation_vectors(vector: Vector) -> None:
    algorithm, ni, nr = prf(vector["prf"]), vector.octets("ni"), vector.octets("nr")
    skeyseed = keys.skeyseed(algorithm, vector.octets("secret"), ni, nr)
    assert skeyseed == vector.octets("skeyseed")
    # The CAVP file cuts 132 octets of stream: those of AES-CBC-128 and HMAC-SHA1 are all within them.
    spis = {"spi_i": vector.octets("spi_i"), "spi_r": vector.octets("spi_r")}
    made = keys.ike_keys(algorithm, cipher(12, 128), integrity(2), skeyseed, ni=ni, nr=nr, **spis)
    stream = b"".join([made.sk_d, made.sk_ai, made.sk_ar, made.sk_ei, made.sk_er, made.sk_pi, made.sk_pr])
    assert stream == vector.octets("keys")[: len(stream)]
    assert len(stream) == 132
    rekeyed = keys.rekey_skeyseed(algorithm, made.sk_d, vector.octets("new_secret"), ni, nr)
    assert rekeyed == vector.octets("rekey_skeyseed")


def as_random(private: bytes, group: int) -> RandomBytes:
    """A random source from which the group draws the given private value."""
    if group in {31, 32}:
        return lambda size: private.rjust(size, b"\0")
    # Private numbers are drawn as (octets mod (order - 1)) + 1.
    return lambda size: (int.from_bytes(private, "big") - 1).to_bytes(size, "big")
