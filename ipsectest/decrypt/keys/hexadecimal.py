"""Octets written as hexadecimal digits."""

import re

_DIGITS = re.compile(r"(?:0[xX])?((?:[0-9A-Fa-f]{2})*)")


def octets(text: str) -> bytes | None:
    """The octets of ``0x0123`` or ``0123``; None if it is something else, or has half an octet."""
    found = _DIGITS.fullmatch(text)
    return bytes.fromhex(found[1]) if found else None


def spi(text: str) -> bytes | None:
    """Four octets out of up to eight digits, leading zeros left out or not; None for what is no SPI."""
    digits = text[2:] if text[:2] in {"0x", "0X"} else text
    return octets(digits.rjust(8, "0")) if 0 < len(digits) <= 8 else None
