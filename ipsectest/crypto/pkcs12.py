"""PKCS #12 containers (RFC 7292): how databases of other programs want a key with its certificate."""

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12
from cryptography.x509 import load_pem_x509_certificate


def container(name: str, certificate_pem: bytes, key_pem: bytes, password: bytes) -> bytes:
    """A certificate and its key (PEM, RSA or EC) under a friendly name; the salt comes from the operating system.

    TypeError for another kind of key.
    """
    key = load_pem_private_key(key_pem, None)
    certificate = load_pem_x509_certificate(certificate_pem)
    if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey):
        raise TypeError(f"no PKCS #12 container for {type(key).__name__}")
    return pkcs12.serialize_key_and_certificates(
        name.encode(), key, certificate, None, BestAvailableEncryption(password)
    )
