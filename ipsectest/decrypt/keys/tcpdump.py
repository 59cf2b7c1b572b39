"""tcpdump's ``-E``, and the lines of the file that it may name, which know IKEv2 as well.

    0x01020304@192.0.2.1 aes128-cbc-hmac96:0x...
    ikev2 I SPIi SPIr sha1:0x... aes128:0x...        R: the responder's keys

The address is where the packets go. tcpdump knows ICVs of 12 octets (``-hmac96``) or none, and ciphers in CBC mode.
"""

import re
from ipaddress import ip_address

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.iana import IntegrityAlgorithm as Integ
from ipsectest.base.iana import ProtocolId
from ipsectest.decrypt.keys import lengths
from ipsectest.decrypt.keys.hexadecimal import octets, spi
from ipsectest.decrypt.keys.ikev2_lines import Ikev2Lines, LineError
from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.decrypt.keys.source import Source

_ICV_96 = 12
_SUFFIX = "-hmac96"
_OPTION = re.compile(r"\s-E\s*(?=\S)")
_ENTRY = re.compile(r"(?:(?P<spi>(?:0[xX])?[0-9a-fA-F]+)@(?P<address>[0-9A-Fa-f:.]+)\s+)?(?P<name>[\w-]+):(?P<key>\S*)")
_NAMES: dict[str, int] = {
    "none": Encr.ENCR_NULL,
    "null": Encr.ENCR_NULL,
    "des-cbc": Encr.ENCR_DES,
    "des": Encr.ENCR_DES,
    "3des-cbc": Encr.ENCR_3DES,
    "3des": Encr.ENCR_3DES,
    "des3": Encr.ENCR_3DES,
    "des-ede3-cbc": Encr.ENCR_3DES,
    "blowfish-cbc": Encr.ENCR_BLOWFISH,
    "bf-cbc": Encr.ENCR_BLOWFISH,
    "cast128-cbc": Encr.ENCR_CAST,
    "cast5-cbc": Encr.ENCR_CAST,
    **{name: Encr.ENCR_AES_CBC for bits in (128, 192, 256) for name in (f"aes{bits}-cbc", f"aes-{bits}-cbc")},
    **{f"aes{bits}": Encr.ENCR_AES_CBC for bits in (128, 192, 256)},
    **{
        name: Encr.ENCR_CAMELLIA_CBC for bits in (128, 192, 256) for name in (f"camellia{bits}", f"camellia-{bits}-cbc")
    },
}
_AES_BITS = re.compile(r"aes-?(\d+)")
_WRITTEN: dict[int, str] = {Encr.ENCR_3DES: "3des-cbc", Encr.ENCR_DES: "des-cbc", Encr.ENCR_BLOWFISH: "blowfish-cbc"}
_ICVS_96 = {Integ.AUTH_HMAC_MD5_96, Integ.AUTH_HMAC_SHA1_96, Integ.AUTH_AES_XCBC_96, Integ.AUTH_AES_CMAC_96}


def read(source: Source) -> None:
    """Every entry: lines of a file, or a command line with ``-E``."""
    ike = Ikev2Lines(source)
    for number, line in source.lines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        option = _OPTION.search(text)
        if option:
            text = _value(text[option.end() :])
        if ike.take(number, text):
            continue
        for entry in text.split(","):
            try:
                source.add(_entry(entry.strip(), source, number))
            except (LineError, lengths.KeyLengthError) as error:
                source.problem(str(error), number)
    ike.end()


def _value(text: str) -> str:
    """What follows ``-E``: in quotation marks, or all of it."""
    end = text.find(text[0], 1) if text[0] in "'\"" else -1
    return text[1:end] if end > 0 else text


def _entry(text: str, source: Source, number: int) -> SaKeys:
    found = _ENTRY.fullmatch(text)
    if not found:
        raise LineError("SPI@ADDRESS ALGORITHM:KEY is wanted")
    name = found["name"].lower()
    has_icv = name.endswith(_SUFFIX)
    name = name.removesuffix(_SUFFIX)
    if name not in _NAMES:
        raise LineError(f"{name!r} is no algorithm that tcpdump decrypts")
    key = octets(found["key"]) if found["key"][:2] in {"0x", "0X"} else found["key"].encode()
    if key is None:
        raise LineError("the key is no even number of hexadecimal digits")
    encryption = lengths.encryption(_NAMES[name], key)
    bits = _AES_BITS.match(name)
    if bits and encryption.key_length != int(bits[1]):
        raise LineError(f"{name} takes {int(bits[1]) // 8} octets of key, not {len(key)}")
    return SaKeys(
        spi=_spi(found["spi"]),
        destination=_address(found["address"]),
        encryption=encryption,
        encryption_key=key,
        unchecked_icv=_ICV_96 if has_icv else 0,
        origin=source.origin(number),
    )


def _spi(text: str | None) -> bytes:
    """As strtoul reads it: digits without ``0x`` are decimal. Without an SPI, the key is for all."""
    if text is None:
        return b""
    if text[:2] in {"0x", "0X"}:
        found = spi(text)
    else:
        found = spi(f"{int(text):x}") if text.isdecimal() and len(text) <= 10 else None
    if found is None:
        raise LineError(f"{text!r} is no SPI")
    return found


def _address(text: str | None) -> str:
    try:
        return str(ip_address(text)) if text else ""
    except ValueError:
        raise LineError(f"{text!r} is no address") from None


def entry(keys: SaKeys) -> tuple[str, str]:
    """The line of an SA and "", or "" and why there can be none."""
    if keys.protocol != ProtocolId.ESP or keys.encryption is None:
        return "", "tcpdump has no keys for AH"
    if not keys.spi or not keys.destination:
        return "", "tcpdump wants an SPI and the address where the packets go"
    number, bits = keys.encryption.id, keys.encryption.key_length
    name = f"aes{bits}-cbc" if number == Encr.ENCR_AES_CBC else _WRITTEN.get(number, "")
    if not name:
        return "", f"tcpdump cannot decrypt {keys.encryption}"
    if keys.integrity and keys.integrity.id not in _ICVS_96:
        return "", f"tcpdump knows ICVs of 12 octets, not {keys.integrity}"
    if keys.unchecked_icv not in {0, _ICV_96}:
        return "", f"tcpdump knows ICVs of 12 octets, not {keys.unchecked_icv}"
    suffix = _SUFFIX if keys.integrity or keys.unchecked_icv else ""
    return f"0x{keys.spi.hex()}@{keys.destination} {name}{suffix}:0x{keys.encryption_key.hex()}", ""
