"""Distinguished names as text (RFC 4514), for people."""

from ipsectest.crypto import der

_KEYWORDS = {
    "550403": "CN", "550406": "C", "550407": "L", "550408": "ST", "55040a": "O", "55040b": "OU",
    "550405": "serialNumber",
    "2a864886f70d010901": "E", "0992268993f22c640119": "DC", "0992268993f22c640101": "UID",
}  # fmt: skip
"""By the octets of the object identifier; E is how PKCS #9 mail addresses are commonly written."""
_MOST = 32


def distinguished_name(data: bytes) -> str:
    """``C=CH, O=lab, CN=peer``, in the order of the encoding; empty for octets that are no name. Never raises."""
    parts = []
    try:
        for rdn in der.contents(data)[:_MOST]:
            for pair in der.contents(rdn.encoding, der.SET):
                oid, value = der.contents(pair.encoding)
                keyword = _KEYWORDS.get(oid.content.hex(), oid.content.hex())
                text = value.content[:200].decode("utf-8", "replace")
                parts.append(f"{keyword}={''.join(one if one.isprintable() else '?' for one in text)}")
    except ValueError:
        return ""
    return ", ".join(parts)
