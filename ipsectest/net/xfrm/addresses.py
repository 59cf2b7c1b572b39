"""Addresses and SPIs as xfrm_address_t and xfrm_id have them."""

from ipaddress import ip_address, ip_interface
from socket import AF_INET, AF_INET6


def family_of(address: str) -> int:
    """AF_INET or AF_INET6; 0 for no address. Raises ValueError for what is no address."""
    if not address:
        return 0
    return AF_INET if ip_interface(address).version == 4 else AF_INET6


def pack_address(address: str) -> bytes:
    """xfrm_address_t: 16 octets, an IPv4 address in the first 4; no address is all zero."""
    return ip_address(address).packed.ljust(16, b"\0") if address else bytes(16)


def unpack_address(octets: bytes, family: int) -> str:
    """The address as text, none for the family 0."""
    if family == AF_INET:
        return str(ip_address(octets[:4]))
    return str(ip_address(octets[:16])) if family == AF_INET6 else ""


def pack_spi(spi: int) -> bytes:
    """4 octets in network order. Raises ValueError for numbers of more than 32 bits."""
    if not 0 <= spi < 1 << 32:
        raise ValueError(f"an SPI is a number of 32 bits, not {spi}")
    return spi.to_bytes(4, "big")
