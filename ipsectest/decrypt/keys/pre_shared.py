"""Files with pre-shared keys: recognised to say why they open nothing."""

import re

from ipsectest.decrypt.keys.source import Source

MARK = re.compile(
    r":\s*PSK\s+\S"  # ipsec.secrets of strongSwan and Libreswan
    r"|^\s*secret\s*=\s*\S"  # swanctl.conf
    r"|\bpre-shared-key\b|^\s*crypto isakmp key\b|^\s*set psksecret\b"
)
WHY = (
    "a pre-shared key decrypts nothing: IKEv2 uses it in AUTH only (RFC 7296 section 2.15), its keys come of the "
    "Diffie-Hellman secret (2.14), which is never sent, and IKEv1's keys need that secret too (RFC 2409 section 5)"
)
INSTEAD = (
    "instead take SK_* from the log of one end, or ESP keys from its kernel (`ip xfrm state`), or the "
    "Diffie-Hellman private values of one end ([[dh]]); docs/keys.md tells how"
)


def read(source: Source) -> None:
    """No keys, and a note."""
    number = next((number for number, line in source.lines() if MARK.search(line[:2000])), 0)
    source.note(f"{WHY}; {INSTEAD}", number)
