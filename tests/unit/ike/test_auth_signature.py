"""Which signature an AUTH payload carries."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ipsectest.base.iana import AuthenticationMethod as Method
from ipsectest.base.iana import HashAlgorithm
from ipsectest.ike import auth
from ipsectest.ike.config import KeyPair

OCTETS = b"what is signed"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """An RSA key of 2048 bits."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_method_1_signs_with_sha1_by_default(key: rsa.RSAPrivateKey) -> None:
    # RFC 7296 section 3.8; strongSwan accepts nothing else in method 1
    payload = auth._sign(KeyPair((), key), Method.RSA_DIGITAL_SIGNATURE, (HashAlgorithm.SHA2_512,), OCTETS)
    key.public_key().verify(payload.data, OCTETS, padding.PKCS1v15(), hashes.SHA1())


def test_without_announced_hashes_an_rsa_key_takes_method_1(key: rsa.RSAPrivateKey) -> None:
    payload = auth._sign(KeyPair((), key), None, (), OCTETS)
    assert payload.method == Method.RSA_DIGITAL_SIGNATURE


def test_with_announced_hashes_the_digital_signature_uses_one_of_them(key: rsa.RSAPrivateKey) -> None:
    payload = auth._sign(KeyPair((), key), None, (HashAlgorithm.SHA2_512,), OCTETS)
    assert payload.method == Method.DIGITAL_SIGNATURE
    identifier = payload.data[1 : 1 + payload.data[0]]
    assert bytes.fromhex("608648016503040203") in identifier
