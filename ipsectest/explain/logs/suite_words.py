"""Proposals as daemons log them, in the words of ``base.suites``, so that the two sides can be compared.

strongSwan: ``IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE_25519``. Libreswan:
``1:IKE:ENCR=AES_GCM_16_128;PRF=HMAC_SHA2_256;DH=DH31``
of what came, ``1:IKE=AES_GCM_16_128-HMAC_SHA2_256-NONE-CURVE25519+ECP_256`` of what is configured.
"""

import re

from ipsectest.base.iana import KeyExchangeMethod, TransformType
from ipsectest.base.suites import TransformSpec
from ipsectest.decrypt.keys import daemon_names

_SEPARATORS = re.compile(r"[/;]")
_BITS = re.compile(r"_(128|192|256)$")
_WITHOUT = {"NONE", "NO_EXT_SEQ", "ESN:NO", "ESN=NO", "DISABLED", "ESN=DISABLED", "ESN:DISABLED"}
_ESN = {"EXT_SEQ", "ESN:YES", "ESN=YES", "ENABLED", "ESN=ENABLED"}
_GROUPS = {name.replace("_", ""): value for name, value in KeyExchangeMethod.__members__.items()}
_GROUPS |= {f"DH{value}": value for value in KeyExchangeMethod}
_NUMBER = re.compile(r"^\s*\d+:")
_MOST = 4000


def from_charon(text: str) -> list[str]:
    """Each proposal of a comma-separated list."""
    return [_suite(_SEPARATORS.split(part.partition(":")[2])) for part in text[:_MOST].split(", ") if part.strip()]


def from_pluto_offer(text: str) -> list[str]:
    """What a line on remote proposals has, separated by blanks."""
    found = []
    for part in text[:_MOST].split():
        body = _NUMBER.sub("", part).partition("[")[0]
        protocol, _, transforms = body.partition(":")
        if protocol in {"IKE", "ESP", "AH"} and transforms:
            found.append(_suite([_typed(one) for one in transforms.split(";")]))
    return found


def from_pluto_configuration(text: str) -> str:
    """What a line below ``IKE SA proposals`` has."""
    protocol, _, body = _NUMBER.sub("", text[:_MOST]).partition("=")
    parts = [part.split("+") for part in body.strip().split("-")]
    names = ["ENCR", "PRF", "INTEG", "DH"] if protocol.strip() == "IKE" else ["ENCR", "INTEG", "DH", "ESN"]
    return _suite([_typed(f"{name}={one}") for name, part in zip(names, parts, strict=False) for one in part])


def suite_of(cipher: str, integ: str, prf: str, group: str) -> str:
    """What ``{cipher=AES_GCM_16_128 integ=n/a prf=HMAC_SHA2_256 group=DH31}`` has."""
    return _suite([cipher, *([] if integ == "n/a" else [integ]), f"PRF_{prf}", group])


def word(token: str) -> str:
    """One algorithm; what is not known stays as it is."""
    if token in _WITHOUT or not token:
        return ""
    if token in _ESN:
        return "esn"
    bits = _BITS.search(token)
    number = daemon_names.cipher(token)
    if number is not None:
        return str(TransformSpec(TransformType.ENCR, number, int(bits[1]) if bits else None))
    for kind, value in (
        (TransformType.INTEG, daemon_names.integrity(token)),
        (TransformType.PRF, daemon_names.prf(token)),
        (TransformType.KE, _GROUPS.get(token.replace("_", ""))),
    ):
        if value is not None:
            return str(TransformSpec(kind, int(value)))
    return token.lower()


def _typed(text: str) -> str:
    """Libreswan's name of an algorithm whose type it tells: its PRFs are called like its integrity algorithms."""
    kind, _, name = text.partition("=")
    if kind == "PRF" and not name.startswith(("PRF_", "NONE")):
        return f"PRF_{name}"
    return text if kind == "ESN" and ":" not in name else name


def _suite(tokens: list[str]) -> str:
    return "-".join(found for token in tokens if (found := word(token.strip())))
