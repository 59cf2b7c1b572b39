"""What narrows a dump of SAs."""

import struct
from ipaddress import ip_network
from typing import NamedTuple, Self

from ipsectest.net.xfrm.addresses import family_of, pack_address, unpack_address


class AddressFilter(NamedTuple):
    """xfrm_address_filter: SAs from one prefix to another; no prefix stands for any address of the other's family."""

    src: str = ""
    dst: str = ""

    def pack(self) -> bytes:
        """36 octets. Raises ValueError for prefixes that are none, or of two families."""
        families = {family_of(text) for text in self if text}
        if len(families) != 1:
            raise ValueError(f"a filter has prefixes of one IP version, not {self.src!r} and {self.dst!r}")
        networks = [ip_network(text) if text else None for text in self]
        addresses = [pack_address(str(one.network_address) if one else "") for one in networks]
        return struct.pack("=16s16sHBB", *addresses, *families, *(one.prefixlen if one else 0 for one in networks))

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of octets made by ``pack``."""
        src, dst, family, *lengths = struct.unpack_from("=16s16sHBB", octets)
        texts = [
            f"{unpack_address(one, family)}/{bits}" if bits else ""
            for one, bits in zip((src, dst), lengths, strict=True)
        ]
        return cls(*texts)
