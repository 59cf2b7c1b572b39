"""Wireshark's table ``esp_sa``.

Columns: protocol, source, destination, SPI, cipher and key, integrity and key, SN, ESN high bits. Names are those of
Wireshark 4.0 to 4.4; older versions lack the last two columns. strongSwan's save-keys writes AES-GCM as
``AES-GCM [RFC4106]`` with ``ANY 128 bit authentication [no checking]``, which Wireshark itself does not decrypt:
such rows are read as what they mean.
"""

from ipaddress import ip_address

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.iana import ProtocolId
from ipsectest.base.suites import TransformSpec
from ipsectest.base.wireshark import ESP_ENCRYPTION, ESP_INTEGRITY
from ipsectest.decrypt.keys import lengths
from ipsectest.decrypt.keys.hexadecimal import octets, spi
from ipsectest.decrypt.keys.model import ANY, SaKeys
from ipsectest.decrypt.keys.source import Source
from ipsectest.decrypt.keys.uat import Cell, RowError, cells, quoted

_ENCRYPTION = {
    **ESP_ENCRYPTION,
    Encr.ENCR_DES: "DES-CBC [RFC2405]",
    Encr.ENCR_CAST: "CAST5-CBC [RFC2144]",
    Encr.ENCR_BLOWFISH: "BLOWFISH-CBC [RFC2451]",
}
_UNCHECKED = {bits // 8: f"ANY {bits} bit authentication [no checking]" for bits in (64, 96, 128, 192, 256)}
"""Octets of ICV -> name."""
_OLD_GCM = "AES-GCM [RFC4106]"
_GCM_BY_ICV = {
    0: Encr.ENCR_AES_GCM_16,
    8: Encr.ENCR_AES_GCM_8,
    12: Encr.ENCR_AES_GCM_12,
    16: Encr.ENCR_AES_GCM_16,
}
_OTHER_ICVS = {"HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]": 12, "MAC-RIPEMD-160-96 [RFC2857]": 12}
"""Integrity algorithms that IKEv2 has no number for -> octets of ICV."""
_UNNUMBERED = ("TWOFISH-CBC",)

_ENCRYPTION_OF = {name.lower(): number for number, name in _ENCRYPTION.items()}
_INTEGRITY_OF = {name.lower(): number for number, name in ESP_INTEGRITY.items() if not name.startswith("ANY")}
_ICV_OF = {name.lower(): length for length, name in _UNCHECKED.items()} | {
    name.lower(): length for name, length in _OTHER_ICVS.items()
}
_SHORTEST, _LONGEST = 8, 10


def read(source: Source) -> None:
    """Every row of the file."""
    for number, line in source.lines():
        try:
            row = cells(line)
            if row:
                _read_row(source, number, row)
        except RowError as error:
            source.problem(str(error), number, error.column)


def _read_row(source: Source, line: int, row: list[Cell]) -> None:
    if not _SHORTEST <= len(row) <= _LONGEST:
        raise RowError(f"esp_sa has {_SHORTEST} to {_LONGEST} columns, this row has {len(row)}", row[-1].column)
    if row[0].text.lower() not in {"ipv4", "ipv6", "any", "*"}:
        raise RowError(f"{row[0].text!r} is neither IPv4 nor IPv6", row[0].column)
    icv, integrity = _integrity(source, line, row[6], _key(row[7]))
    encryption = _encryption(row[4], _key(row[5]), icv, checked=integrity is not None)
    if encryption is None:
        source.note(f"SA {row[3].text}: nothing here decrypts {row[4].text}", line)
        return
    is_aead = encryption.id in lengths.AEADS
    if row[4].text == _OLD_GCM and not icv:
        source.note(f"SA {row[3].text}: {_OLD_GCM} tells no ICV length, 16 octets are assumed", line)
    source.add(
        SaKeys(
            spi=_spi(source, line, row[3]),
            source=_address(source, line, row[1]),
            destination=_address(source, line, row[2]),
            encryption=encryption,
            encryption_key=_key(row[5]),
            integrity=None if is_aead else integrity,
            integrity_key=b"" if is_aead or integrity is None else _key(row[7]),
            unchecked_icv=0 if is_aead else icv,
            esn=_esn(row[8]) if len(row) > 8 else None,
            esn_high=_high(row[9]) if len(row) > 9 else 0,
            origin=source.origin(line),
        )
    )


def _key(cell: Cell) -> bytes:
    """``0x`` and digits, or the characters themselves."""
    if cell.text[:2] not in {"0x", "0X"}:
        return cell.text.encode()
    key = octets(cell.text)
    if key is None:
        raise RowError("the key is no even number of hexadecimal digits", cell.column)
    return key


def _encryption(cell: Cell, key: bytes, icv: int, *, checked: bool) -> TransformSpec | None:
    name = cell.text.lower()
    if name == _OLD_GCM.lower() and not checked and icv in _GCM_BY_ICV:
        number: int = _GCM_BY_ICV[icv]
    elif name in _ENCRYPTION_OF:
        number = _ENCRYPTION_OF[name]
    elif name in {word.lower() for word in _UNNUMBERED}:
        return None
    else:
        raise RowError(f"Wireshark has no encryption {cell.text!r}", cell.column)
    try:
        return lengths.encryption(number, key)
    except lengths.KeyLengthError as error:
        raise RowError(str(error), cell.column) from None


def _integrity(source: Source, line: int, cell: Cell, key: bytes) -> tuple[int, TransformSpec | None]:
    """Octets of an ICV that cannot be checked, and the algorithm of one that can."""
    name = cell.text.lower()
    if name in {"null", ""}:
        return 0, None
    if name in _ICV_OF:
        if cell.text in _OTHER_ICVS:
            source.note(f"the ICV of {cell.text} cannot be checked", line)
        return _ICV_OF[name], None
    if name not in _INTEGRITY_OF:
        raise RowError(f"Wireshark has no authentication {cell.text!r}", cell.column)
    try:
        return 0, lengths.integrity(_INTEGRITY_OF[name], key)
    except lengths.KeyLengthError as error:
        raise RowError(str(error), cell.column) from None


def _spi(source: Source, line: int, cell: Cell) -> bytes:
    if cell.text == "*":
        return b""
    if "*" in cell.text:
        source.note(f"SPI {cell.text}: every SPI is tried", line)
        return b""
    found = spi(cell.text) if cell.text[:2] in {"0x", "0X"} else _decimal(cell.text)
    if found is None:
        raise RowError(f"{cell.text!r} is no SPI", cell.column)
    return found


def _decimal(text: str) -> bytes | None:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else -1
    return number.to_bytes(4, "big") if 0 <= number < 1 << 32 else None


def _address(source: Source, line: int, cell: Cell) -> str:
    if cell.text in {"*", ""}:
        return ANY
    if "*" in cell.text:
        source.note(f"address {cell.text}: every address is tried", line)
        return ANY
    try:
        return str(ip_address(cell.text))
    except ValueError:
        raise RowError(f"{cell.text!r} is no address", cell.column) from None


def _esn(cell: Cell) -> bool:
    if cell.text.lower() not in {"32-bit", "64-bit"}:
        raise RowError(f"{cell.text!r} is neither 32-bit nor 64-bit", cell.column)
    return cell.text.lower() == "64-bit"


def _high(cell: Cell) -> int:
    digits = octets(cell.text.removeprefix("0x").rjust(8, "0")) if len(cell.text) <= 10 else None
    if digits is None or len(digits) > 4:
        raise RowError(f"{cell.text!r} is no upper half of a sequence number", cell.column)
    return int.from_bytes(digits, "big")


def rows(keys: SaKeys) -> list[str] | str:
    """The rows of an SA (one for each IP version it may have), or why there can be none."""
    if keys.protocol != ProtocolId.ESP:
        return "Wireshark needs no keys for AH and checks none"
    encryption = _ENCRYPTION.get(keys.encryption.id) if keys.encryption else None
    if encryption is None:
        return f"Wireshark has no {keys.encryption}"
    integrity = "NULL"
    if keys.integrity:
        integrity = ESP_INTEGRITY.get(keys.integrity.id, "")
        if not integrity:
            return f"Wireshark has no {keys.integrity}"
    elif keys.unchecked_icv:
        integrity = _UNCHECKED.get(keys.unchecked_icv, "")
        if not integrity:
            return f"Wireshark has no ICV of {keys.unchecked_icv} octets"
    ends = (keys.source or "*", keys.destination or "*")
    spi_word = f"0x{keys.spi.hex()}" if keys.spi else "*"
    columns: tuple[str, ...] = (spi_word, encryption, _hex(keys.encryption_key), integrity, _hex(keys.integrity_key))
    if keys.esn:  # columns that 4.0 lacks and complains of
        columns += ("64-bit", f"{keys.esn_high:x}")
    return [quoted((version, *ends, *columns)) for version in _versions(keys)]


def _versions(keys: SaKeys) -> list[str]:
    known = keys.source or keys.destination
    if not known:
        return ["IPv4", "IPv6"]
    return ["IPv6" if ":" in known else "IPv4"]


def _hex(key: bytes) -> str:
    return f"0x{key.hex()}" if key else ""
