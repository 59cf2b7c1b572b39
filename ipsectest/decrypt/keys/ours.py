"""Our own ``keys.toml``: everything a key ring holds.

    [[ike]]     spi_i spi_r suite sk_d sk_ai sk_ar sk_ei sk_er sk_pi sk_pr, unchecked_icv; a salt may be missing
    [[esp]]     source destination spi suite encryption_key integrity_key esn, esn_high unchecked_icv
    [[ah]]      the same without encryption
    [[ikev1]]   cookie_i encryption_key skeyid_d skeyid_a skeyid_e pre_shared_key
    [[dh]]      group private (of one side), or public (of either side) secret (g^ir)

Octets are hexadecimal, suites are words of ``base.suites``; what is not known is left out.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from ipsectest.base.errors import InputError
from ipsectest.base.iana import ProtocolId, TransformType
from ipsectest.base.suites import TransformSpec, UnknownKeywordError, format_suite, parse_suite
from ipsectest.decrypt.keys import lengths
from ipsectest.decrypt.keys.hexadecimal import octets
from ipsectest.decrypt.keys.model import DhKeys, IkeKeys, IkeV1Keys, KeyRing, SaKeys
from ipsectest.decrypt.keys.source import Source

MAX_OCTETS = 1 << 26
"""A TOML file is read as a whole."""
_MOST_DOTS = 200
"""In a line: a key of many parts costs tomllib the square of their number."""
_HEADER = re.compile(r"\s*\[\[\s*[\"']?(ike|esp|ah|ikev1|dh)[\"']?\s*\]\]")
_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")
_SECRETS = ("sk_d", "sk_ai", "sk_ar", "sk_ei", "sk_er", "sk_pi", "sk_pr")
_IKEV1_SECRETS = ("encryption_key", "skeyid_d", "skeyid_a", "skeyid_e", "pre_shared_key")
_PROTOCOLS = {"esp": ProtocolId.ESP, "ah": ProtocolId.AH}


class _TableError(ValueError):
    """A table cannot be used."""


def read(source: Source) -> None:
    """Every table of the file; one that is wrong is a problem, broken TOML is an InputError."""
    text = source.text(MAX_OCTETS)
    for number, row in _each_line(text):
        if row.count(".") > _MOST_DOTS and not row.lstrip().startswith("#"):
            raise InputError(f"more than {_MOST_DOTS} dots in a line", source.place(number))
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        place = _PLACE.search(str(error))
        line, column = (int(place[1]), int(place[2])) if place and place[1] else (0, 0)
        message = _PLACE.sub("", str(error)) if isinstance(error, ValueError) else "nested too deeply"
        raise InputError(f"no TOML: {message}", source.place(line, column)) from None
    lines = _lines(text)
    for kind, take in (("ike", _ike), ("esp", _sa), ("ah", _sa), ("ikev1", _ikev1), ("dh", _dh)):
        tables = document.get(kind, [])
        if not isinstance(tables, list):
            source.problem(f"[[{kind}]] is meant, a table for each SA", 0)
            continue
        for index, table in enumerate(tables):
            line = lines[kind][index] if index < len(lines[kind]) else 0
            try:
                keys = take(kind, _table_of(table), source.origin(line))
                if isinstance(keys, IkeKeys) and not _is_salted(keys):
                    source.add_without_salt(keys)
                else:
                    source.add(keys)
            except _TableError as error:
                source.problem(f"[[{kind}]]: {error}", line)


def _table_of(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _TableError("is no table")
    return value


def _lines(text: str) -> dict[str, list[int]]:
    """The lines where tables begin."""
    found: dict[str, list[int]] = {"ike": [], "esp": [], "ah": [], "ikev1": [], "dh": []}
    for number, line in _each_line(text):
        header = _HEADER.match(line)
        if header:
            found[header[1]].append(number)
    return found


def _each_line(text: str) -> Iterator[tuple[int, str]]:
    """Numbers from 1 and lines, without a list of them all."""
    start, number = 0, 1
    while (end := text.find("\n", start)) >= 0:
        yield number, text[start:end]
        start, number = end + 1, number + 1
    yield number, text[start:]


def _ike(_kind: str, table: Mapping[str, Any], origin: str) -> IkeKeys:
    suite = _suite(table)
    encryption, integrity = suite.get(TransformType.ENCR), suite.get(TransformType.INTEG)
    if encryption is None:
        raise _TableError("the suite names no cipher")
    keys = {name: _octets(table, name) for name in _SECRETS}
    ciphers = keys["sk_ei"], keys["sk_er"]
    _fits(encryption, integrity, ciphers, (keys["sk_ai"], keys["sk_ar"]), salted=_all_salted(encryption, ciphers))
    spis = {name: _octets(table, name, sizes=(0, 8)) for name in ("spi_i", "spi_r")}
    return IkeKeys(
        **spis,
        **keys,
        encryption=encryption,
        integrity=integrity,
        prf=suite.get(TransformType.PRF),
        unchecked_icv=_number(table, "unchecked_icv", 64),
        origin=origin,
    )


def _sa(kind: str, table: Mapping[str, Any], origin: str) -> SaKeys:
    suite = _suite(table)
    encryption, integrity = suite.get(TransformType.ENCR), suite.get(TransformType.INTEG)
    if kind == "ah" and (encryption or not integrity):
        raise _TableError("AH has an integrity algorithm and nothing else")
    if kind == "esp" and not encryption:
        raise _TableError("the suite names no cipher")
    keys = _octets(table, "encryption_key"), _octets(table, "integrity_key")
    _fits(encryption, integrity, (keys[0],), (keys[1],))
    esn = table.get("esn")
    if not isinstance(esn, bool | None):
        raise _TableError("esn is true or false")
    return SaKeys(
        spi=_octets(table, "spi", sizes=(0, 4)),
        source=_address(table, "source"),
        destination=_address(table, "destination"),
        protocol=_PROTOCOLS[kind],
        encryption=encryption,
        encryption_key=keys[0],
        integrity=integrity,
        integrity_key=keys[1],
        unchecked_icv=_number(table, "unchecked_icv", 64),
        esn=esn,
        esn_high=_number(table, "esn_high", (1 << 32) - 1),
        origin=origin,
    )


def _ikev1(_kind: str, table: Mapping[str, Any], origin: str) -> IkeV1Keys:
    keys = {name: _octets(table, name) for name in _IKEV1_SECRETS}
    if not keys["encryption_key"] and not keys["skeyid_e"] and not keys["pre_shared_key"]:
        raise _TableError("encryption_key, skeyid_e or pre_shared_key is missing")
    return IkeV1Keys(cookie_i=_octets(table, "cookie_i", sizes=(0, 8)), **keys, origin=origin)


def _dh(_kind: str, table: Mapping[str, Any], origin: str) -> DhKeys:
    group = _suite(table, "group").get(TransformType.KE)
    keys = {name: _octets(table, name) for name in ("private", "public", "secret")}
    if bool(keys["private"]) == bool(keys["secret"]):
        raise _TableError("private or secret is wanted")
    if keys["private"] and not group:
        raise _TableError("the group of private is missing")
    if keys["secret"] and not keys["public"]:
        raise _TableError("public, of either side, is wanted beside secret")
    return DhKeys(group=group.id if group else 0, **keys, origin=origin)


def _suite(table: Mapping[str, Any], name: str = "suite") -> dict[int, TransformSpec]:
    """Transform type -> the first transform of it."""
    text = table.get(name, "")
    try:
        specs = parse_suite(text) if isinstance(text, str) and text else ()
    except UnknownKeywordError as error:
        raise _TableError(str(error)) from None
    return {spec.type: spec for spec in reversed(specs) if spec != TransformSpec(TransformType.INTEG, 0)}


def _fits(
    encryption: TransformSpec | None,
    integrity: TransformSpec | None,
    ciphers: tuple[bytes, ...],
    macs: tuple[bytes, ...],
    *,
    salted: bool = True,
) -> None:
    try:
        for key in ciphers:
            if encryption and lengths.encryption(encryption.id, key, salted=salted) != encryption:
                raise _TableError(f"{encryption} does not take {len(key)} octets of key")
        for key in macs:
            if integrity:
                lengths.integrity(integrity.id, key)
    except lengths.KeyLengthError as error:
        raise _TableError(str(error)) from None


def _is_salted(keys: IkeKeys) -> bool:
    return _all_salted(keys.encryption, (keys.sk_ei, keys.sk_er))


def _all_salted(encryption: TransformSpec, ciphers: tuple[bytes, ...]) -> bool:
    """Whether keys of an AEAD end with its salt; no key fits a cipher with and without one."""
    try:
        return all(lengths.encryption(encryption.id, key) == encryption for key in ciphers)
    except lengths.KeyLengthError:
        return False


def _octets(table: Mapping[str, Any], name: str, sizes: tuple[int, ...] = ()) -> bytes:
    text = table.get(name, "")
    found = octets(text) if isinstance(text, str) else None
    if found is None:
        raise _TableError(f"{name} is no text of hexadecimal digits, two for each octet")
    if sizes and len(found) not in sizes:
        raise _TableError(f"{name} has {len(found)} octets instead of {sizes[-1]}")
    return found


def _number(table: Mapping[str, Any], name: str, limit: int) -> int:
    number = table.get(name, 0)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= limit:
        raise _TableError(f"{name} is a number from 0 to {limit}")
    return number


def _address(table: Mapping[str, Any], name: str) -> str:
    text = table.get(name, "")
    if text == "":
        return ""
    try:
        return str(ip_address(text)) if isinstance(text, str) else _no_address(name)
    except ValueError:
        return _no_address(name)


def _no_address(name: str) -> str:
    raise _TableError(f"{name} is no IP address")


def write(ring: KeyRing) -> str:
    """The whole ring; reading it again gives the same keys."""
    tables = [
        *map(_ike_table, ring.ike + ring.without_salt),
        *map(_sa_table, ring.sas),
        *map(_ikev1_table, ring.ikev1),
        *map(_dh_table, ring.dh),
    ]
    return "\n".join(tables)


def _table(kind: str, fields: Mapping[str, str | int | bool | None]) -> str:
    """Without the fields that are empty."""
    lines = [f"[[{kind}]]"]
    for name, value in fields.items():
        match value:
            case bool():
                lines.append(f"{name} = {str(value).lower()}")
            case str() if value:
                lines.append(f'{name} = "{value}"')
            case int() if value:
                lines.append(f"{name} = {value}")
    return "\n".join(lines) + "\n"


def _words(*specs: TransformSpec | None) -> str:
    return format_suite([spec for spec in specs if spec])


def _ike_table(keys: IkeKeys) -> str:
    secrets = {name: getattr(keys, name).hex() for name in _SECRETS}
    suite = _words(keys.encryption, keys.integrity, keys.prf)
    spis = {"spi_i": keys.spi_i.hex(), "spi_r": keys.spi_r.hex()}
    return _table("ike", {**spis, "suite": suite, **secrets, "unchecked_icv": keys.unchecked_icv})


def _sa_table(keys: SaKeys) -> str:
    kind = "ah" if keys.protocol == ProtocolId.AH else "esp"
    return _table(
        kind,
        {
            "source": keys.source,
            "destination": keys.destination,
            "spi": keys.spi.hex(),
            "suite": _words(keys.encryption, keys.integrity),
            "encryption_key": keys.encryption_key.hex(),
            "integrity_key": keys.integrity_key.hex(),
            "unchecked_icv": keys.unchecked_icv,
            "esn": keys.esn,
            "esn_high": keys.esn_high,
        },
    )


def _ikev1_table(keys: IkeV1Keys) -> str:
    return _table("ikev1", {name: getattr(keys, name).hex() for name in ("cookie_i", *_IKEV1_SECRETS)})


def _dh_table(keys: DhKeys) -> str:
    group = _words(TransformSpec(TransformType.KE, keys.group)) if keys.group else ""
    octets_of = {name: getattr(keys, name).hex() for name in ("private", "public", "secret")}
    return _table("dh", {"group": group, **octets_of})
