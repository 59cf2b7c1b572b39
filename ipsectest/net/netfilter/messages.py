"""Octets of netlink messages to and from netfilter (linux/netlink.h, linux/netfilter/nfnetlink.h)."""

import struct
from collections.abc import Iterator

NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE = 0x1, 0x4, 0x400
NLMSG_ERROR = 2
_NESTED = 0x8000
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_FAMILY_HEADER = struct.Struct("!BBH")  # nfgenmsg: family, version, resource; the last in network order
_ATTRIBUTE = struct.Struct("=HH")


def padded(data: bytes) -> bytes:
    """To a multiple of four octets."""
    return data + bytes(-len(data) % 4)


def attribute(kind: int, value: bytes | int | str | list[bytes]) -> bytes:
    """One attribute: a number takes four octets in network order, a list holds other attributes."""
    if isinstance(value, int):
        value = value.to_bytes(4, "big")
    elif isinstance(value, str):
        value = value.encode() + b"\0"
    elif isinstance(value, list):
        kind, value = kind | _NESTED, b"".join(value)
    return padded(_ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value)


def message(kind: int, flags: int, sequence: int, family: int, resource: int, *attributes: bytes) -> bytes:
    """A request; ``kind`` is subsystem and number, ``resource`` what the subsystem says."""
    body = _FAMILY_HEADER.pack(family, 0, resource) + b"".join(attributes)
    return _HEADER.pack(_HEADER.size + len(body), kind, NLM_F_REQUEST | flags, sequence, 0) + body


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, sequence number and body of each message; what is cut off is left out."""
    while len(data) >= _HEADER.size:
        length, kind, _, sequence, _ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            return
        yield kind, sequence, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def error_of(body: bytes) -> int:
    """The errno that an answer tells, 0 for "done"."""
    return -struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0


def resource_and_attributes(body: bytes) -> tuple[int, dict[int, bytes]]:
    """The resource of a message and its attributes by kind, without what is cut off."""
    found: dict[int, bytes] = {}
    if len(body) < _FAMILY_HEADER.size:
        return 0, found
    resource: int = _FAMILY_HEADER.unpack_from(body)[2]
    rest = body[_FAMILY_HEADER.size :]
    while len(rest) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(rest)
        if not _ATTRIBUTE.size <= length <= len(rest):
            break
        found[kind & ~_NESTED] = rest[_ATTRIBUTE.size : length]
        rest = rest[(length + 3) & ~3 :]
    return resource, found
