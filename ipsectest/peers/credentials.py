"""Certificates and keys a peer is given; where they come from is the runner's business."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ipsectest.scenario.ports import Authentication


@dataclass(frozen=True, slots=True)
class Credential:
    """An end-entity certificate and its private key (PKCS #8), each DER or PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a peer proves itself with, by kind of key, and whose certificates it believes."""

    authorities: tuple[bytes, ...] = ()
    mine: Mapping[Authentication, Credential] = field(default_factory=dict)
