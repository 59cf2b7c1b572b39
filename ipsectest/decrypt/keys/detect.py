"""Which notation a key file is in: told by its content, never by its name."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ipsectest.base.errors import InputError, Place
from ipsectest.decrypt.keys import (
    cilium,
    esp_sa,
    fortigate,
    ike_tables,
    iproute2,
    libreswan,
    ours,
    pre_shared,
    strongswan,
    tcpdump,
)
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.keys.source import STANDARD_INPUT, Source, TooManyKeysError

TABLES = ("esp_sa", "ikev2_decryption_table", "ikev1_decryption_table")
"""Names in a profile folder of Wireshark and in the folder of strongSwan's save-keys."""
OURS = "keys.toml"
_MOST_FILES = 1000


@dataclass(frozen=True, slots=True)
class Notation:
    """One notation; ``mark`` is found in lines of no other."""

    name: str
    mark: re.Pattern[str]
    read: Callable[[Source], None]
    is_log: bool = False
    """Whether its lines may stand among those of another log: the journal has every daemon's."""


NOTATIONS = (
    Notation("keys.toml of ipsectest", re.compile(r"^\s*\[\[\s*[\"']?(ike|esp|ah|ikev1|dh)[\"']?\s*\]\]"), ours.read),
    Notation("Wireshark esp_sa", re.compile(r"^\s*\"?(IPv4|IPv6)\"?\s*,", re.IGNORECASE), esp_sa.read),
    Notation(
        "Wireshark ikev2_decryption_table",
        re.compile(r"^\s*\"?[0-9a-f]{16}\"?\s*,\s*\"?[0-9a-f]{16}\"?\s*,", re.IGNORECASE),
        ike_tables.read_ikev2,
    ),
    Notation(
        "Wireshark ikev1_decryption_table",
        re.compile(r"^\s*\"?[0-9a-f]{16}\"?\s*,\s*\"?[0-9a-f]*\"?\s*$", re.IGNORECASE),
        ike_tables.read_ikev1,
    ),
    Notation(
        "log of Libreswan",
        re.compile(
            r"\| (ikev2 [IR] 0x|(ESP|AH) (enckey|authkey|encrypt key|integrity key):)"
            r"|Libreswan Version|\bpluto(\[\d+\])?: |\"(\[\d+\] \S+)? #\d+: "
        ),
        libreswan.read,
        is_log=True,
    ),
    Notation("log of strongSwan", re.compile(r"(^|\s)\d\d\[[A-Z]{3}\d?\] "), strongswan.read, is_log=True),
    Notation(
        "ip xfrm state",
        re.compile(r"^src \S+ dst \S+\s*(\\.*)?$|^\s+proto \S+ spi 0x|\bip\b.*\bxfrm\s+state\s+(add|update)\b"),
        iproute2.read,
    ),
    Notation(
        "tcpdump -E",
        re.compile(
            r"^\s*(tcpdump\b.*\s-E\b|(0x)?[0-9a-fA-F]+@[0-9A-Fa-f:.]+\s+[\w-]+:|ikev2 [IR] "
            r"|[\w-]{1,20}-cbc(-hmac96)?:(0x)?[0-9a-fA-F]+\s*$)"
        ),
        tcpdump.read,
    ),
    Notation(
        "Cilium key file",
        re.compile(r"^\s*\"?(keys\"?:\s*)?[\"']?\d+\+?\s+\w+\(\S+\)\s+|^\s*\"?keys\"?:\s*[A-Za-z0-9+/]{40,}={0,2}"),
        cilium.read,
    ),
    Notation("FortiGate diagnose vpn tunnel list", re.compile(r"\b(dec|enc):\s*spi=[0-9a-f]+ esp="), fortigate.read),
    Notation("pre-shared keys", pre_shared.MARK, pre_shared.read),
)
_CAPTURES = {bytes.fromhex(magic) for magic in ("0a0d0d0a", "d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d")}
"""First octets of pcapng, and of pcap in both byte orders with micro- and nanoseconds."""
_WITHOUT_KEYS = (
    (
        re.compile(
            r"#pkts encaps:|inbound esp sas:|\bIKEv2-(PROTO|PLAT)-\d|IKEv2:\(SESSION ID|ISAKMP-PAK|\bCRYPTO_SS\b"
        ),
        "this is Cisco's output, which shows no keys in any command: take them from the other end",
    ),
    (
        re.compile(r"\bcharon(-systemd)?\[\d+\]: "),
        "this form of the journal leaves out charon's threads and IKE SAs: take `journalctl -o json`",
    ),
    (
        re.compile(r"^\s*[{\[]\s*$|^\s*\[\s*\{"),
        "no JSON with keys is known here (`ip -j xfrm state` prints plain text)",
    ),
)


def read(path: Path) -> KeyRing:
    """The keys of a file, of standard input (``-``) or of a folder; InputError if it is none."""
    if path != STANDARD_INPUT and path.is_dir():
        return _read_folder(path)
    source = Source(path)
    try:
        for notation in detect(source):
            notation.read(source)
    except TooManyKeysError as error:
        source.ring.problems.append(error)
    return source.done()


def detect(source: Source) -> list[Notation]:
    """The notation with most marks in the head of the file, and with a log what other logs are in it; InputError."""
    lines = source.head().splitlines()
    marks = [sum(1 for line in lines if notation.mark.search(line[:2000])) for notation in NOTATIONS]
    best = max(range(len(marks)), key=lambda index: marks[index])
    if marks[best]:
        found = NOTATIONS[best]
        others = (one for one, count in zip(NOTATIONS, marks, strict=True) if count and one.is_log and found.is_log)
        return [found, *(one for one in others if one is not found)]
    if not any(line.strip() for line in lines):
        raise InputError("there is nothing in it", source.place())
    if source.start() in _CAPTURES:
        raise InputError("this is a capture: keys are in a log or a table", source.place())
    for mark, why in _WITHOUT_KEYS:
        if any(mark.search(line[:2000]) for line in lines):
            raise InputError(why, source.place())
    known = ", ".join(notation.name for notation in NOTATIONS)
    raise InputError("no key file that is known here", source.place(), hint=f"known: {known}")


def _read_folder(path: Path) -> KeyRing:
    """Our own file if the folder has it, because the tables beside it hold the same keys or less."""
    files = [path / OURS] if (path / OURS).is_file() else sorted(path.glob(f"*.{OURS}"))[:_MOST_FILES]
    files = files or [path / name for name in TABLES if (path / name).is_file()]
    if not files:
        raise InputError(f"none of {OURS}, {', '.join(TABLES)} is in the folder", Place(path))
    ring = KeyRing()
    for file in files:
        if file.stat().st_size:
            ring.add(read(file))
    return ring
