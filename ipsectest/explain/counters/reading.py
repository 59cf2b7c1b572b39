"""``ip -s xfrm state`` and ``/proc/net/xfrm_stat``, told by their content; one file may hold both."""

import re
from ipaddress import ip_address
from pathlib import Path

from ipsectest.decrypt.keys.source import Source
from ipsectest.explain.counters.model import MOST_SAS, CounterFacts, SaCounters

_NUMBER = r"\d{1,20}"
_STATISTICS = re.compile(rf"\s*replay-window ({_NUMBER}) replay ({_NUMBER}) failed ({_NUMBER})\s*$")
_DROPS = re.compile(rf"\s*(Xfrm(?:In|Out|Fwd|Acquire)\w{{1,40}})\s+({_NUMBER})\s*$")
_BEGIN = re.compile(r"src ([0-9a-fA-F.:]{2,45}) dst ([0-9a-fA-F.:]{2,45})(?=\s|$)")
_NAMED = re.compile(r"\s*proto (esp|ah) spi 0x([0-9a-fA-F]{1,8})\b")
_SENT = re.compile(r"\boseq 0x([0-9a-fA-F]{1,8})\b")
_CARRIED = re.compile(rf"\s*{_NUMBER}\(bytes\), ({_NUMBER})\(packets\)\s*$")


def read_counters(path: Path, name: str) -> CounterFacts | None:
    """The counters of a file; None if it has none. InputError if it cannot be read."""
    source = Source(path)
    head = source.head()
    if "\0" in head[:1000] or not any(_counts(line) for line in head.splitlines()):
        return None
    facts = CounterFacts(name)
    sa: SaCounters | None = None
    for number, line in source.lines():
        for part in line.split("\\"):  # `ip -o` has a state on one line
            if begin := _BEGIN.match(part):
                sa = _begun(number, begin[1], begin[2])
                if sa is None:
                    continue
                if len(facts.sas) < MOST_SAS:
                    facts.sas.append(sa)
                else:
                    facts.left_out += 1
            elif (found := _DROPS.match(part)) and int(found[2]):
                facts.drops[found[1]] = number, int(found[2])
            elif sa is not None:
                _take(sa, part)
    facts.sas = [one for one in facts.sas if one.protocol]
    return facts


def _counts(line: str) -> bool:
    return any(_STATISTICS.match(part) or _DROPS.match(part) for part in line[:4000].split("\\"))


def _begun(line: int, source: str, destination: str) -> SaCounters | None:
    try:
        return SaCounters(line, str(ip_address(source)), str(ip_address(destination)))
    except ValueError:
        return None


def _take(sa: SaCounters, line: str) -> None:
    if named := _NAMED.match(line):
        sa.protocol, sa.spi = named[1], int(named[2], 16)
    elif sent := _SENT.search(line):
        sa.has_sent = int(sent[1], 16) > 0
    elif carried := _CARRIED.match(line):
        sa.packets = int(carried[1])
    elif counted := _STATISTICS.match(line):
        sa.late, sa.replayed, sa.failed = (int(one) for one in counted.groups())
