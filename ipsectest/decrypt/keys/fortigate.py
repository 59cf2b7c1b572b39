"""FortiGate's ``diagnose vpn tunnel list``: for each SA the keys of what it decrypts and of what it encrypts.

    name=TUNNEL ver=2 serial=1 192.0.2.1:0->192.0.2.2:0 ...
      SA: ... seqno=1 esn=0 ...
      dec: spi=... esp=aes key=16 <hex>
           ah=sha1 key=20 <hex>
      enc: spi=... esp=aes-gcm key=20 <hex>
           ah=null key=0

The layout is known from what people published, not from the vendor.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.iana import IntegrityAlgorithm as Integ
from ipsectest.decrypt.keys import lengths
from ipsectest.decrypt.keys.hexadecimal import octets, spi
from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.decrypt.keys.source import Source

_TUNNEL = re.compile(r"\s*name=\S+ .*?\s([\[\]0-9A-Fa-f.:]{2,45}):\d{1,5}->([\[\]0-9A-Fa-f.:]{2,45}):\d{1,5}(?=\s|$)")
_ESN = re.compile(r"\besn=(\d)")
_CIPHER = re.compile(r"\b(dec|enc):\s*spi=([0-9a-fA-F]+)\s+esp=(\S+)\s+key=(\d+)\s*([0-9a-fA-F]*)")
_MAC = re.compile(r"(?:^|\s)ah=(\S+)\s+key=(\d+)\s*([0-9a-fA-F]*)")
_CIPHERS: dict[str, int] = {
    "null": Encr.ENCR_NULL,
    "des": Encr.ENCR_DES,
    "3des": Encr.ENCR_3DES,
    "aes": Encr.ENCR_AES_CBC,
    "aes-gcm": Encr.ENCR_AES_GCM_16,
    "chacha20-poly1305": Encr.ENCR_CHACHA20_POLY1305,
    "chacha20poly1305": Encr.ENCR_CHACHA20_POLY1305,
}
_INTEGRITIES: dict[str, int] = {
    "md5": Integ.AUTH_HMAC_MD5_96,
    "sha1": Integ.AUTH_HMAC_SHA1_96,
    "sha256": Integ.AUTH_HMAC_SHA2_256_128,
    "sha384": Integ.AUTH_HMAC_SHA2_384_192,
    "sha512": Integ.AUTH_HMAC_SHA2_512_256,
}


class _SaError(ValueError):
    """An SA cannot be used."""


@dataclass(slots=True)
class _Half:
    """What a line with ``esp=`` says."""

    line: int
    direction: str
    spi: str
    cipher: str
    key: str


class _Reader:
    """What the lines so far say of the tunnel and the SA."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._local = self._remote = ""
        self._esn: bool | None = None
        self._half: _Half | None = None

    def take(self, number: int, line: str) -> None:
        """One line."""
        tunnel, esn = _TUNNEL.match(line), _ESN.search(line)
        if tunnel:
            self._local, self._remote = map(_address, tunnel.groups())
            self._esn = None
        if esn:
            self._esn = esn[1] != "0"
        cipher, mac = _CIPHER.search(line), _MAC.search(line)
        if cipher:
            self.end()
            self._half = _Half(
                number, cipher[1], cipher[2], cipher[3].lower(), self._sized(number, cipher[5], cipher[4])
            )
        if mac and self._half:
            self._add(self._half, mac[1].lower(), self._sized(number, mac[3], mac[2]))
            self._half = None

    def end(self) -> None:
        """A cipher whose line with ``ah=`` did not come."""
        if self._half:
            self._source.problem("no line with ah= follows", self._half.line)
            self._half = None

    def _sized(self, number: int, digits: str, size: str) -> str:
        if len(digits) != 2 * int(size[:6]):
            self._source.problem(f"key={size} and {len(digits)} digits", number)
            return "?"
        return digits

    def _add(self, half: _Half, mac: str, mac_key: str) -> None:
        try:
            self._source.add(self._keys(half, mac, mac_key))
        except (_SaError, lengths.KeyLengthError) as error:
            self._source.problem(str(error), half.line)

    def _keys(self, half: _Half, mac: str, mac_key: str) -> SaKeys:
        key, icv_key, number = octets(half.key), octets(mac_key), spi(half.spi)
        if key is None or icv_key is None or number is None:
            raise _SaError(f"SA {half.spi}: its SPI or a key is broken")
        if half.cipher not in _CIPHERS or mac not in {"null", *_INTEGRITIES}:
            raise _SaError(f"SA {half.spi}: nothing here knows esp={half.cipher} ah={mac}")
        ends = (self._remote, self._local) if half.direction == "dec" else (self._local, self._remote)
        encryption = lengths.encryption(_CIPHERS[half.cipher], key)
        return SaKeys(
            spi=number,
            source=ends[0],
            destination=ends[1],
            encryption=encryption,
            encryption_key=key,
            integrity=lengths.integrity(_INTEGRITIES[mac], icv_key) if mac != "null" else None,
            integrity_key=icv_key if mac != "null" else b"",
            esn=self._esn,
            origin=self._source.origin(half.line),
        )


def _address(text: str) -> str:
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return ""
    return "" if address.is_unspecified else str(address)


def read(source: Source) -> None:
    """Every SA of the text."""
    reader = _Reader(source)
    for number, line in source.lines():
        reader.take(number, line)
    reader.end()
