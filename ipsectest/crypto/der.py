"""Just enough DER to read and write AlgorithmIdentifiers and to compare distinguished names."""

from typing import NamedTuple

SEQUENCE = 0x30
SET = 0x31
INTEGER = 0x02
NULL = 0x05
OID = 0x06


class Element(NamedTuple):
    """One TLV: tag octet, contents, and the whole encoding."""

    tag: int
    content: bytes
    encoding: bytes


def elements(data: bytes) -> list[Element]:
    """The TLVs that data consists of; ValueError if they do not fill it exactly. Not recursive."""
    found: list[Element] = []
    start = 0
    while start < len(data):
        if start + 2 > len(data):
            raise ValueError("truncated DER")
        length, body = data[start + 1], start + 2
        if length & 0x80:
            octets = length & 0x7F
            if not 1 <= octets <= 4 or body + octets > len(data):
                raise ValueError("bad DER length")
            length = int.from_bytes(data[body : body + octets], "big")
            body += octets
        if body + length > len(data):
            raise ValueError("truncated DER")
        found.append(Element(data[start], data[body : body + length], data[start : body + length]))
        start = body + length
    return found


def contents(data: bytes, tag: int = SEQUENCE) -> list[Element]:
    """The TLVs inside the single element (of the given tag) that data is; else ValueError."""
    outer = elements(data)
    if len(outer) != 1 or outer[0].tag != tag:
        raise ValueError(f"not one DER element of tag {tag:#04x}")
    return elements(outer[0].content)


def encode(tag: int, *parts: bytes) -> bytes:
    """An element around the concatenated parts."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    size = (len(body).bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + len(body).to_bytes(size, "big") + body
