"""The message with which a daemon gives the kernel an SA: XFRM_MSG_NEWSA and XFRM_MSG_UPDSA, as charon logs it.

Layout of include/uapi/linux/xfrm.h on a little-endian machine with 64 bits: nlmsghdr (16 octets), xfrm_usersa_info
(224), attributes.
"""

import struct
from ipaddress import ip_address

from ipsectest.base.iana import ProtocolId
from ipsectest.base.suites import TransformSpec
from ipsectest.decrypt.keys import kernel_names
from ipsectest.decrypt.keys.model import SaKeys

_HEADER, _INFO = 16, 224
_DESTINATION, _SPI, _PROTOCOL, _SOURCE = 56, 72, 76, 80
"""Offsets in xfrm_usersa_info: it begins with the selector of 56 octets; ``saddr`` follows ``xfrm_id``."""
_FAMILY, _FLAGS = 212, 216
_IPV6 = 10
_ESN_FLAG = 1 << 7
_CRYPT, _AUTH, _AEAD, _AUTH_TRUNC = 2, 1, 18, 20
_PROTOCOLS = {50: ProtocolId.ESP, 51: ProtocolId.AH}


def state(message: bytes, origin: str) -> SaKeys | None:
    """The SA; None for one that is neither ESP nor AH. ValueError for what is no such message."""
    if len(message) < _HEADER + _INFO:
        raise ValueError(f"a state has at least {_HEADER + _INFO} octets, not {len(message)}")
    info = message[_HEADER : _HEADER + _INFO]
    protocol = _PROTOCOLS.get(info[_PROTOCOL])
    if protocol is None:
        return None
    family, flags = struct.unpack_from("<H", info, _FAMILY)[0], info[_FLAGS]
    keys = _Algorithms(message[_HEADER + _INFO :])
    return SaKeys(
        spi=info[_SPI : _SPI + 4],
        source=_address(info[_SOURCE : _SOURCE + 16], family),
        destination=_address(info[_DESTINATION : _DESTINATION + 16], family),
        protocol=protocol,
        encryption=keys.encryption,
        encryption_key=keys.encryption_key,
        integrity=keys.integrity,
        integrity_key=keys.integrity_key if keys.integrity else b"",
        unchecked_icv=keys.unchecked_icv,
        esn=bool(flags & _ESN_FLAG),
        origin=origin,
    )


def _address(octets: bytes, family: int) -> str:
    address = ip_address(octets if family == _IPV6 else octets[:4])
    return "" if address.is_unspecified else str(address)


class _Algorithms:
    """What the attributes say; XFRMA_ALG_AUTH is a shorter form of XFRMA_ALG_AUTH_TRUNC."""

    def __init__(self, attributes: bytes) -> None:
        self.encryption: TransformSpec | None = None
        self.integrity: TransformSpec | None = None
        self.encryption_key = self.integrity_key = b""
        self.unchecked_icv = 0
        at, truncated = 0, False
        while at + 4 <= len(attributes):
            length, kind = struct.unpack_from("<HH", attributes, at)
            body = attributes[at + 4 : at + length]
            if length < 4 or len(body) != length - 4:
                raise ValueError("an attribute is cut off")
            if kind in {_CRYPT, _AEAD} or (kind in {_AUTH, _AUTH_TRUNC} and not truncated):
                truncated |= kind == _AUTH_TRUNC
                self._take(kind, body)
            at += (length + 3) & ~3

    def _take(self, kind: int, body: bytes) -> None:
        fixed = 72 if kind in {_AEAD, _AUTH_TRUNC} else 68
        if len(body) < fixed:
            raise ValueError("an algorithm is cut off")
        name = body[:64].split(b"\0", 1)[0].decode("ascii", "replace")
        size, icv = struct.unpack_from("<I", body, 64)[0] // 8, struct.unpack_from("<I", body, fixed - 4)[0]
        key = body[fixed : fixed + size]
        if len(key) != size:
            raise ValueError("a key is cut off")
        match kind:
            case 18:
                self.encryption, self.encryption_key = kernel_names.aead(name, key, icv), key
            case 2:
                self.encryption, self.encryption_key = kernel_names.cipher(name, key), key
            case _:
                bits = icv if kind == _AUTH_TRUNC else None
                self.integrity, self.unchecked_icv = kernel_names.authentication(name, key, bits)
                self.integrity_key = key
