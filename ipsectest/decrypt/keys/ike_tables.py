"""Wireshark's ``ikev2_decryption_table`` and ``ikev1_decryption_table``.

IKEv2: SPIi, SPIr, SK_ei, SK_er, encryption, SK_ai, SK_ar, integrity; an AEAD has empty SK_a and ``NONE [RFC4306]``.
IKEv1: initiator cookie, encryption key. Octets are hexadecimal digits, without ``0x``.
"""

from ipsectest.base.iana import IntegrityAlgorithm as Integ
from ipsectest.base.iana import TransformType
from ipsectest.base.suites import TransformSpec
from ipsectest.base.wireshark import IKE_ENCRYPTION, IKE_INTEGRITY
from ipsectest.decrypt.keys import lengths
from ipsectest.decrypt.keys.hexadecimal import octets
from ipsectest.decrypt.keys.model import IkeKeys, IkeV1Keys
from ipsectest.decrypt.keys.source import Source
from ipsectest.decrypt.keys.uat import Cell, RowError, cells

_NONE = "NONE [RFC4306]"
_UNCHECKED = {bits // 8: f"ANY {bits}-bits of Authentication [No Checking]" for bits in (64, 96, 128, 160, 192, 256)}
_OTHER_ICVS = {"HMAC_SHA2_256_96 [draft-ietf-ipsec-ciph-sha-256-00]": 12}

_ENCRYPTION_OF = {name.lower(): pair for pair, name in IKE_ENCRYPTION.items()}
_INTEGRITY_OF = {name.lower(): number for number, name in IKE_INTEGRITY.items() if not name.startswith("ANY")}
_ICV_OF = {name.lower(): length for length, name in _UNCHECKED.items()} | {
    name.lower(): length for name, length in _OTHER_ICVS.items()
}
_COLUMNS = 8


def read_ikev2(source: Source) -> None:
    """Every row of ``ikev2_decryption_table``."""
    for number, line in source.lines():
        try:
            row = cells(line)
            if row:
                source.add(_ikev2(row, source.origin(number)))
        except RowError as error:
            source.problem(str(error), number, error.column)


def read_ikev1(source: Source) -> None:
    """Every row of ``ikev1_decryption_table``."""
    for number, line in source.lines():
        try:
            row = cells(line)
            if row:
                source.add(_ikev1(row, source.origin(number)))
        except RowError as error:
            source.problem(str(error), number, error.column)


def _ikev2(row: list[Cell], origin: str) -> IkeKeys:
    if len(row) != _COLUMNS:
        raise RowError(f"ikev2_decryption_table has {_COLUMNS} columns, this row has {len(row)}", row[-1].column)
    encryption = _encryption(row[4], [_hex(row[2]), _hex(row[3])])
    icv, integrity = _integrity(row[7], [_hex(row[5]), _hex(row[6])])
    if encryption.id in lengths.AEADS and integrity is not None:
        raise RowError(f"{row[4].text} goes with {_NONE} only", row[7].column)
    return IkeKeys(
        spi_i=_hex(row[0], 8),
        spi_r=_hex(row[1], 8),
        encryption=encryption,
        integrity=integrity,
        sk_ei=_hex(row[2]),
        sk_er=_hex(row[3]),
        sk_ai=_hex(row[5]) if integrity else b"",
        sk_ar=_hex(row[6]) if integrity else b"",
        unchecked_icv=0 if encryption.id in lengths.AEADS else icv,
        origin=origin,
    )


def _ikev1(row: list[Cell], origin: str) -> IkeV1Keys:
    if len(row) != 2:
        raise RowError(f"ikev1_decryption_table has 2 columns, this row has {len(row)}", row[-1].column)
    key = _hex(row[1])
    if not key:
        raise RowError("the key is empty", row[1].column)
    return IkeV1Keys(cookie_i=_hex(row[0], 8), encryption_key=key, origin=origin)


def _hex(cell: Cell, length: int = 0) -> bytes:
    found = octets(cell.text)
    if found is None:
        raise RowError("no even number of hexadecimal digits", cell.column)
    if length and len(found) != length:
        raise RowError(f"{length} octets are wanted, not {len(found)}", cell.column)
    return found


def _encryption(cell: Cell, keys: list[bytes]) -> TransformSpec:
    if cell.text.lower() not in _ENCRYPTION_OF:
        raise RowError(f"Wireshark has no encryption {cell.text!r}", cell.column)
    number, bits = _ENCRYPTION_OF[cell.text.lower()]
    wanted = TransformSpec(TransformType.ENCR, number, bits)
    for key in keys:
        try:
            found = lengths.encryption(number, key)
        except lengths.KeyLengthError as error:
            raise RowError(str(error), cell.column) from None
        if found != wanted:
            raise RowError(f"{cell.text} does not take {len(key)} octets of key", cell.column)
    return wanted


def _integrity(cell: Cell, keys: list[bytes]) -> tuple[int, TransformSpec | None]:
    """Octets of an ICV that cannot be checked, and the algorithm of one that can."""
    name = cell.text.lower()
    if name == _NONE.lower():
        return 0, None
    if name in _ICV_OF:
        return _ICV_OF[name], None
    if name not in _INTEGRITY_OF:
        raise RowError(f"Wireshark has no integrity algorithm {cell.text!r}", cell.column)
    try:
        (found,) = {lengths.integrity(_INTEGRITY_OF[name], key) for key in keys}
    except lengths.KeyLengthError as error:
        raise RowError(str(error), cell.column) from None
    return 0, found


def ikev2_row(keys: IkeKeys) -> tuple[str, str]:
    """The row of an IKE SA and "", or "" and why there can be none."""
    encryption = IKE_ENCRYPTION.get((keys.encryption.id, keys.encryption.key_length))
    if encryption is None:
        return "", f"Wireshark has no {keys.encryption} for IKE"
    if not keys.spi_i:
        return "", "the SPIs are not known"
    integrity, sk_a = _NONE, ("", "")
    if keys.unchecked_icv:
        integrity = _UNCHECKED.get(keys.unchecked_icv, "")
    elif keys.integrity and keys.integrity.id != Integ.NONE:
        integrity = IKE_INTEGRITY.get(keys.integrity.id, "")
        if not integrity.startswith("ANY"):  # with keys of one that it does not check, it refuses the table
            sk_a = (keys.sk_ai.hex(), keys.sk_ar.hex())
    if not integrity:
        return "", f"Wireshark has no {keys.integrity or f'ICV of {keys.unchecked_icv} octets'} for IKE"
    columns = (keys.spi_i.hex(), keys.spi_r.hex(), keys.sk_ei.hex(), keys.sk_er.hex(), f'"{encryption}"')
    return ",".join((*columns, *sk_a, f'"{integrity}"')), ""


def ikev1_row(keys: IkeV1Keys) -> tuple[str, str]:
    """The row of a phase 1 SA and "", or "" and why there can be none."""
    if not keys.cookie_i:
        return "", "the initiator's cookie is not known"
    if not keys.encryption_key:
        return "", "its cipher key is not known"
    return f"{keys.cookie_i.hex()},{keys.encryption_key.hex()}", ""
