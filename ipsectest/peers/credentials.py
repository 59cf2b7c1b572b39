"""Certificates and keys a daemon is given, as PEM."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipsectest.scenario.ports import Authentication

if TYPE_CHECKING:
    from ipsectest.crypto.pki import TestPki

_KEY_TYPES = {Authentication.RSA: "rsa2048", Authentication.ECDSA: "ecdsa256", Authentication.ED25519: "ed25519"}


@dataclass(frozen=True, slots=True)
class Credential:
    """An end-entity certificate and its private key (PKCS #8)."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a peer proves itself with, by kind of key, and whose certificates it believes."""

    authorities: tuple[bytes, ...] = ()
    mine: Mapping[Authentication, Credential] = field(default_factory=dict)

    @classmethod
    def of(cls, pki: "TestPki", host: str) -> "Credentials":
        """The end entities that a generated PKI holds for ``host``, and its root."""
        issued = {kind: pki.credentials.get(f"{host}/{word}") for kind, word in _KEY_TYPES.items()}
        mine = {kind: Credential(one.certificate_pem, one.key_pem) for kind, one in issued.items() if one}
        return cls((pki.root.credential.certificate_pem,), mine)
