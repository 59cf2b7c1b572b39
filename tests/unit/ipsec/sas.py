"""SAs for tests: both ends of a suite with keys drawn from a seed."""

import random
from collections.abc import Callable
from typing import Any

from ipsectest.base.suites import TransformSpec, parse_suite
from ipsectest.crypto.ciphers import cipher
from ipsectest.crypto.integrities import integrity
from ipsectest.ipsec.sa import SecurityAssociation

SPI = bytes.fromhex("c0ffee01")
SUITES = [
    "aes128gcm16",
    "aes192gcm12",
    "aes256gcm8",
    "aes128ccm8",
    "aes192ccm12",
    "aes256ccm16",
    "aes128gmac",
    "chacha20poly1305",
    "aes128-sha256",
    "aes256-sha384",
    "aes192-sha512",
    "aes128-aesxcbc",
    "aes128-aescmac",
    "aes256ctr-sha1",
    "aes128ctr-sha256",
    "camellia256-sha256",
    "camellia128ctr-sha256",
    "camellia128ccm16",
    "3des-md5",
    "3des-sha1",
    "des-md5",
    "null-sha256",
    "null-aesxcbc",
]


def seeded(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def transforms(suite: str) -> tuple[TransformSpec, TransformSpec | None]:
    specs = parse_suite(suite)
    return specs[0], specs[1] if len(specs) > 1 else None


def arguments(suite: str, seed: int = 1, **changes: Any) -> dict:
    encryption, integ = transforms(suite)
    draw = seeded(seed)
    values = {
        "spi": SPI,
        "source": "192.0.2.1",
        "destination": "192.0.2.2",
        "encryption": encryption,
        "encryption_key": draw(cipher(encryption.id, encryption.key_length).keymat_length),
        "integrity": integ,
        "integrity_key": draw(integrity(integ.id).key_length) if integ else b"",
    }
    return values | changes


def ends(suite: str, **changes: Any) -> tuple[SecurityAssociation, SecurityAssociation]:
    """The sender's and the receiver's record of one SA."""
    values = arguments(suite, **changes)
    return SecurityAssociation(**values), SecurityAssociation(**values)
