"""What every reader has to make sure of before it gives out an SA: its addresses are some, its protocol has algorithms.

Addresses of logs are free text that would otherwise go into files and shell commands as it is.
"""

from dataclasses import replace
from ipaddress import IPv6Address, ip_address

from ipsectest.base.iana import ProtocolId
from ipsectest.decrypt.keys.model import SaKeys


class UnsoundError(ValueError):
    """There can be no such SA."""


def sound(keys: SaKeys) -> SaKeys:
    """The keys with plain addresses. UnsoundError."""
    if keys.protocol == ProtocolId.AH:
        if keys.encryption or not keys.integrity:
            raise UnsoundError(f"AH SA {_name(keys)}: AH has an integrity algorithm and nothing else")
    elif not keys.encryption:
        raise UnsoundError(f"ESP SA {_name(keys)}: its cipher is missing")
    source, destination = _plain(keys.source), _plain(keys.destination)
    if source and destination and (":" in source) != (":" in destination):
        raise UnsoundError(f"SA {_name(keys)}: {source} and {destination} are of different IP versions")
    if (source, destination) == (keys.source, keys.destination):
        return keys
    return replace(keys, source=source, destination=destination)


def _plain(text: str) -> str:
    """An address without the zone of RFC 4007, which no packet carries; empty stays empty."""
    if not text:
        return ""
    try:
        address = ip_address(text)
    except ValueError:
        raise UnsoundError(f"{text[:60]!r} is no address") from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        address = IPv6Address(int(address))
    return "" if address.is_unspecified else str(address)


def _name(keys: SaKeys) -> str:
    return keys.spi.hex() or "*"
