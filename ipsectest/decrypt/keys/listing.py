"""A key ring for people: lines of text or plain data for JSON; keys by their lengths, unless secrets are wanted."""

from collections.abc import Iterator
from typing import Any

from ipsectest.base.iana import ProtocolId, TransformType
from ipsectest.base.suites import TransformSpec, format_suite
from ipsectest.decrypt.keys.model import DhKeys, IkeKeys, IkeV1Keys, KeyRing, SaKeys

_IKEV1_SECRETS = ("encryption_key", "skeyid_d", "skeyid_a", "skeyid_e", "pre_shared_key")
_SECRETS = ("sk_d", "sk_ai", "sk_ar", "sk_ei", "sk_er", "sk_pi", "sk_pr")


def as_json(ring: KeyRing, *, secrets: bool) -> dict[str, Any]:
    """Everything; each key is ``{"octets": n}``, with ``"hex"`` only if secrets are wanted."""
    return {
        "sas": [_sa(keys, secrets) for keys in ring.sas],
        "ike": [_ike(keys, secrets) for keys in ring.ike],
        "ikev1": [_ikev1(keys, secrets) for keys in ring.ikev1],
        "dh": [_dh(keys, secrets) for keys in ring.dh],
        "ike_without_salt": [_ike(keys, secrets) for keys in ring.without_salt],
        "notes": list(ring.notes),
        "problems": [str(problem) for problem in ring.problems],
    }


def lines(ring: KeyRing, *, secrets: bool) -> Iterator[str]:
    """One line for each SA, with its keys below if they are wanted."""
    if not ring.count:
        yield "no keys"
    for kind, rows in as_json(ring, secrets=secrets).items():
        if kind in {"notes", "problems"}:
            continue
        for row in rows:
            yield _line(kind, row)
            if secrets:
                yield from (f"    {name:<14} {value['hex']}" for name, value in row["keys"].items())


def _line(kind: str, row: dict[str, Any]) -> str:
    match kind:
        case "sas":
            ends = f"{row['source'] or '*'} -> {row['destination'] or '*'}"
            esn = {True: "  ESN", False: "", None: "  ESN not told"}[row["esn"]]
            extra = f"  unchecked ICV of {row['unchecked_icv']} octets" if row["unchecked_icv"] else ""
            text = f"{row['protocol']:<5} {row['spi'] or '*':<8}  {ends}  {row['suite'] or '-'}{esn}{extra}"
        case "ikev1":
            secrets = "" if "skeyid_d" in row["keys"] else "  no SKEYID_d"
            text = f"IKEv1 {row['cookie_i'] or '?'}{secrets}"
        case "dh":
            text = f"DH    {row['group'] or row['public']}"
        case _:
            unsalted = "  salt not known" if kind == "ike_without_salt" else ""
            spis = f"{row['spi_i'] or '?'}:{row['spi_r'] or '?'}"
            secrets = "" if "sk_d" in row["keys"] else "  no SK_d"
            text = f"IKE   {spis}  {row['suite']}{unsalted}{secrets}"
    sizes = ", ".join(f"{name} {value['octets']}" for name, value in row["keys"].items())
    return f"{text}  [{sizes}]  {row['origin']}"


def _keys(secrets: bool, named: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    return {name: {"octets": len(key), **({"hex": key.hex()} if secrets else {})} for name, key in named.items() if key}


def _sa(keys: SaKeys, secrets: bool) -> dict[str, Any]:
    return {
        "protocol": "AH" if keys.protocol == ProtocolId.AH else "ESP",
        "spi": keys.spi.hex(),
        "source": keys.source,
        "destination": keys.destination,
        "suite": format_suite([spec for spec in (keys.encryption, keys.integrity) if spec]),
        "unchecked_icv": keys.unchecked_icv,
        "esn": keys.esn,
        "esn_high": keys.esn_high,
        "keys": _keys(secrets, {"encryption_key": keys.encryption_key, "integrity_key": keys.integrity_key}),
        "origin": keys.origin,
    }


def _ike(keys: IkeKeys, secrets: bool) -> dict[str, Any]:
    return {
        "spi_i": keys.spi_i.hex(),
        "spi_r": keys.spi_r.hex(),
        "suite": format_suite([spec for spec in (keys.encryption, keys.integrity, keys.prf) if spec]),
        "unchecked_icv": keys.unchecked_icv,
        "keys": _keys(secrets, {name: getattr(keys, name) for name in _SECRETS}),
        "origin": keys.origin,
    }


def _dh(keys: DhKeys, secrets: bool) -> dict[str, Any]:
    return {
        "group": str(TransformSpec(TransformType.KE, keys.group)) if keys.group else "",
        "public": keys.public.hex(),
        "keys": _keys(secrets, {"private": keys.private, "secret": keys.secret}),
        "origin": keys.origin,
    }


def _ikev1(keys: IkeV1Keys, secrets: bool) -> dict[str, Any]:
    return {
        "cookie_i": keys.cookie_i.hex(),
        "keys": _keys(secrets, {name: getattr(keys, name) for name in _IKEV1_SECRETS}),
        "origin": keys.origin,
    }
