"""What a kernel of the lab's virtual machine gives to IPsec and gets out of it, in clear: as netfilter shows it.

Its output hook comes before ESP and AH, its input hook behind them, in both modes; NFLOG copies packets as they are
there, and tcpdump keeps them. A packet socket sees ESP where packets leave, and nothing of what transport mode brings.
"""

import struct
import time
from collections.abc import Iterator
from itertools import pairwise

from ipsectest.lab.vm.machine import Machine

_SENT, _RECEIVED = 1, 2
"""Groups of NFLOG."""
_RULES = f"""
table inet inner {{
    counter sent {{ }}
    counter received {{ }}
    chain sent {{ type filter hook output priority 0; rt ipsec exists counter name "sent" log group {_SENT} queue-threshold 1; }}
    chain received {{
        type filter hook input priority 0;
        meta ipsec exists counter name "received" log group {_RECEIVED} queue-threshold 1;
    }}
}}
"""  # noqa: E501
_CAP = 10
_PAYLOAD = 9
"""Of the attributes in a record of link type NFLOG, the packet (LINKTYPE_NFLOG at tcpdump.org)."""


class GuestInnerSide:
    """Watches a namespace of the guest from now on; ``take`` after each cell."""

    def __init__(self, machine: Machine, namespace: str) -> None:
        self._machine = machine
        self._inside = f"nsenter --net=/run/netns/{namespace}"
        self._file = f"/run/{namespace}.inner"
        self._known = 0
        machine.run(f"{self._inside} nft -f - <<'END'{_RULES}END", check=True)
        watch = f"tcpdump -Z root -n -U -i nflog:{_SENT},{_RECEIVED} -w {self._file}"
        machine.run(f"{self._inside} {watch} </dev/null >/dev/null 2>{self._file}.said &", check=True)
        machine.run(f"until grep -q listening {self._file}.said; do sleep 0.01; done", timeout=_CAP, check=True)

    def take(self) -> tuple[list[bytes], list[bytes]]:
        """The packets sent and received since the last time, as many as the kernel has counted, in their order."""
        listed = self._machine.run(f"{self._inside} nft reset counters table inet inner", check=True).text.split()
        due = sum(int(count) for word, count in pairwise(listed) if word == "packets")
        until = time.monotonic() + _CAP
        while True:
            data = self._machine.get(self._file)
            records = list(_records(data[self._known or _PCAP_HEADER :]))
            if len(records) >= due:
                break
            assert time.monotonic() < until, f"{len(records)} of {due} packets in {self._file}"
        self._known = len(data)
        assert len(records) == due, f"{len(records)} packets in {self._file}, {due} counted"
        both: dict[int, list[bytes]] = {_SENT: [], _RECEIVED: []}
        for record in records:
            both[int.from_bytes(record[2:4], "big")].append(_packet(record))
        return both[_SENT], both[_RECEIVED]


_PCAP_HEADER, _RECORD_HEADER = 24, struct.Struct("<IIII")


def _records(data: bytes) -> Iterator[bytes]:
    """The records behind a pcap file's header, whole ones."""
    at = 0
    while at + _RECORD_HEADER.size <= len(data):
        *_, captured, length = _RECORD_HEADER.unpack_from(data, at)
        at += _RECORD_HEADER.size
        if at + captured > len(data):
            return
        assert captured == length
        yield data[at : at + captured]
        at += captured


def _packet(record: bytes) -> bytes:
    at = 4
    while at < len(record):
        length, kind = struct.unpack_from("=HH", record, at)
        if kind == _PAYLOAD:
            return record[at + 4 : at + length]
        at += -(-length // 4) * 4
    raise AssertionError("no packet in a record of NFLOG")
