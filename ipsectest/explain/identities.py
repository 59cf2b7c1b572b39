"""Identification payloads in words that users write."""

from ipaddress import ip_address

from ipsectest.base.iana import IdentificationType, name_of
from ipsectest.crypto.names import distinguished_name
from ipsectest.explain.printable import printable

_MOST = 200
"""Octets that are shown."""
_TEXTS = {IdentificationType.ID_FQDN, IdentificationType.ID_RFC822_ADDR}


def identity_text(id_type: int, data: bytes) -> str:
    """``peer.example (ID_FQDN)``; never raises."""
    return f"{_value(id_type, data)} ({name_of(IdentificationType, id_type)})"


def _value(id_type: int, data: bytes) -> str:
    if id_type in _TEXTS:
        return printable(data[:_MOST].decode("utf-8", "replace"))
    if id_type == IdentificationType.ID_DER_ASN1_DN:
        return distinguished_name(data) or data.hex()
    if id_type in {IdentificationType.ID_IPV4_ADDR, IdentificationType.ID_IPV6_ADDR} and len(data) in {4, 16}:
        return str(ip_address(data))
    if id_type == IdentificationType.ID_NULL:
        return "nobody"
    text = printable(data[:_MOST].decode("utf-8", "replace"))
    return text if id_type == IdentificationType.ID_KEY_ID and text.isprintable() and text.isascii() else data.hex()
