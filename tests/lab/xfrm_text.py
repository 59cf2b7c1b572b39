"""What ip(8) prints of the states and policies of a namespace in the guest, as dictionaries; keys become digests."""

import hashlib
import re
from typing import Any

from ipsectest.lab.vm.machine import Machine
from tests.lab.guest_gateways import inside

_ALGORITHM = re.compile(r"^\s(?:aead|enc|auth-trunc|auth) (\S+) 0x(\w+)[^\n]*?(?: (\d+))?$", re.MULTILINE)
_SELECTOR = r"src (\S+) dst (\S+)(?: proto (\S+))?(?: sport (\S+))?(?: dport (\S+))?(?: type (\d+))?"
_TEMPLATE = r"tmpl src (\S+) dst (\S+)\s+proto (\w+)(?: spi 0x(\w+)\S*)? reqid (\d+)\S* mode (\w+)"


def states(machine: Machine, namespace: str) -> list[dict[str, Any]]:
    """What ``ip -s xfrm state`` shows, in the words of ``guest_agent``."""
    return [_state(block) for block in _blocks(inside(machine, namespace, "ip -s xfrm state").text)]


def policies(machine: Machine, namespace: str) -> list[dict[str, Any]]:
    """What ``ip xfrm policy`` shows, but for those of sockets, by which IKE itself passes."""
    blocks = _blocks(inside(machine, namespace, "ip xfrm policy").text)
    return [_policy(block) for block in blocks if not re.search(r"^\s+socket (?:in|out) ", block, re.MULTILINE)]


def _blocks(text: str) -> list[str]:
    return [block for block in re.split(r"^(?=src )", text, flags=re.MULTILINE) if block.strip()]


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    assert match, (pattern, text)
    return match.groups("")


def _state(block: str) -> dict[str, Any]:
    src, dst, proto, spi, mode = _found(r"src (\S+) dst (\S+)\s+proto (\w+) spi 0x(\w+).* mode (\w+)", block)
    algorithms = []
    for name, key, bits in _ALGORITHM.findall(block):
        digest = hashlib.sha256(bytes.fromhex(key)).hexdigest()[:16]
        algorithms.append([name, digest, *([int(bits)] if bits else [])])
    encap = re.search(r"encap type (\w+) sport (\d+) dport (\d+)", block)
    return {
        "src": src,
        "dst": dst,
        "proto": proto,
        "spi": spi,
        "mode": mode,
        "reqid": int(_found(r"reqid (\d+)", block)[0]),
        "selector": _found(rf"\ssel {_SELECTOR}", block) if "\tsel " in block else None,
        "algorithms": sorted(algorithms),
        "encap": [encap[1], int(encap[2]), int(encap[3])] if encap else None,
        "esn": bool(re.search(r"flag .*\besn(?:\b|extra)", block)),  # ip(8) forgets a blank before extra_flag
        "window": max(map(int, re.findall(r"replay[-_]window (\d+)", block))),
        "bytes": int(_found(r"lifetime current:\s+(\d+)\(bytes\)", block)[0]),
    }


def _policy(block: str) -> dict[str, Any]:
    direction, priority = _found(r"\sdir (\w+)[^\n]* priority (\d+)", block)
    templates = re.findall(_TEMPLATE, block)
    assert len(templates) == block.count("tmpl"), block
    return {
        "dir": direction,
        "blocks": " action block " in block,
        "selector": _found(_SELECTOR, block),
        "priority": int(priority),
        "templates": [
            {"src": src, "dst": dst, "proto": proto, "spi": spi, "reqid": int(reqid), "mode": mode}
            for src, dst, proto, spi, reqid, mode in templates
        ],
    }
