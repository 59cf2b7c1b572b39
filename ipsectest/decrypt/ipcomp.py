"""Compressed payloads inside ESP and AH (IPComp, RFC 3173), unpacked where they are DEFLATE (RFC 2394)."""

import zlib
from dataclasses import dataclass

IPCOMP = 108
_HEADER = 4
_LONGEST = 65_535
_NEGOTIATED = 256
"""CPIs below are numbers of algorithms or reserved, those from here on are agreed on by IKE (RFC 3173 section 3.3)."""
_DEFLATE = 2
_NAMES = {1: "OUI", _DEFLATE: "DEFLATE", 3: "LZS", 4: "LZJH"}
"""IPComp Transform IDs (RFC 7296 section 3.10.1)."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a compressed payload was."""

    next_header: int
    payload: bytes
    """As it was, and ``next_header`` 108, if it could not be unpacked."""
    name: str
    """CPI and algorithm, for people."""


def unpack(payload: bytes) -> Unpacked:
    """The payload behind next header 108. Never raises, and gives no more than an IP packet can hold.

    A negotiated CPI does not tell its algorithm; DEFLATE, which is the one in use, is told by its form.
    """
    if len(payload) < _HEADER:
        return Unpacked(IPCOMP, payload, "IPComp, cut off")
    next_header, cpi = payload[0], int.from_bytes(payload[2:4], "big")
    name = f"IPComp CPI {cpi:04x}"
    if cpi < _NEGOTIATED and cpi != _DEFLATE:
        return Unpacked(IPCOMP, payload, f"{name} {_NAMES.get(cpi, 'of an unknown algorithm')}, not unpacked")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        octets = inflater.decompress(payload[_HEADER:], _LONGEST)
    except zlib.error:
        return Unpacked(IPCOMP, payload, f"{name}, no DEFLATE")
    if not inflater.eof:
        return Unpacked(IPCOMP, payload, f"{name}, longer than a packet can be or cut off")
    return Unpacked(next_header, octets, f"{name} DEFLATE")
