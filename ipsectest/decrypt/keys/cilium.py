"""Cilium's key file (the Secret ``cilium-ipsec-keys``): one key for all nodes, in every direction.

    3 rfc4106(gcm(aes)) <key and salt> 128            key ID, AEAD, key, bits of ICV
    1 hmac(sha256) 0x<key> cbc(aes) 0x<key>           key ID, integrity algorithm and key, cipher and key

The SPI of every packet is the key ID. With ``3+`` (the default since 1.16) each pair of nodes derives keys of its own
from the secret and from what only the nodes know: then `ip xfrm state` of a node tells the keys, the file does not.
"""

import base64
import binascii
import re

from ipsectest.decrypt.keys import kernel_names
from ipsectest.decrypt.keys.hexadecimal import octets
from ipsectest.decrypt.keys.lengths import KeyLengthError
from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.decrypt.keys.source import Source

_LINE = re.compile(r"(\d{1,10})(\+?)\s+(\S+)\s+(\S+)\s+(\S+)(?:\s+(\S+))?\s*$")
_YAML = re.compile(r"\s*\"?keys\"?:\s*\"?'?([^\"']+?)\"?'?,?\s*$")
_NOTHING = '""'


class _LineError(ValueError):
    """A line cannot be used."""


def read(source: Source) -> None:
    """Every line of the file, or the value ``keys`` of the Secret as kubectl prints it."""
    for number, line in source.lines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        entry = _YAML.match(line)
        if entry:
            text = _plain(entry[1])
        elif not _LINE.match(text):
            if ":" in text:
                continue  # another field of the Secret
            source.problem("KEY-ID ALGORITHM KEY ICV-BITS is wanted", number)
            continue
        _take(source, number, text)


def _plain(value: str) -> str:
    """What a Secret has in base64, or in clear (stringData)."""
    try:
        return base64.b64decode(value, validate=True).decode().strip()
    except (binascii.Error, ValueError):
        return value


def _take(source: Source, number: int, text: str) -> None:
    found = _LINE.match(text)
    if not found:
        source.problem("KEY-ID ALGORITHM KEY ICV-BITS is wanted", number)
        return
    if found[2]:
        source.note(
            f"key {found[1]}+: each pair of nodes derives keys of its own from this secret; "
            "read `ip xfrm state` of a node instead",
            number,
        )
        return
    try:
        source.add(_keys(found, source.origin(number)))
    except (_LineError, KeyLengthError) as error:
        source.problem(str(error), number)
    except kernel_names.UnknownNameError as error:
        source.note(str(error), number)


def _keys(found: re.Match[str], origin: str) -> SaKeys:
    key_id = int(found[1])
    if not 0 < key_id < 1 << 32:
        raise _LineError(f"{key_id} is no key ID")
    spi = key_id.to_bytes(4, "big")
    first = _octets(found[4])
    if found[6] is None:
        if not found[5].isdecimal():
            raise _LineError(f"{found[5]!r} is no number of bits")
        encryption = kernel_names.aead(found[3], first, int(found[5][:6]))
        return SaKeys(spi=spi, encryption=encryption, encryption_key=first, esn=False, origin=origin)
    second = _octets(found[6])
    integrity, icv = kernel_names.authentication(found[3], first, None)
    return SaKeys(
        spi=spi,
        encryption=kernel_names.cipher(found[5], second),
        encryption_key=second,
        integrity=integrity,
        integrity_key=first if integrity else b"",
        unchecked_icv=icv,
        esn=False,
        origin=origin,
    )


def _octets(text: str) -> bytes:
    found = b"" if text == _NOTHING else octets(text)
    if found is None:
        raise _LineError("the key is no even number of hexadecimal digits")
    return found
