"""Parsing and building IKE_SA_INIT, against scapy.contrib.ikev2 in the same run.

The message has 724 octets: an SA payload of two proposals with 34 and 30 transforms (20 carry a key
length), KE (X25519), Ni (32 octets) and one notify; see ``tests.unit.wire.samples.large_sa_init``.
Samples of both sides alternate, each value is the median of its samples.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from scapy.contrib import ikev2 as contrib

from ipsectest.wire import Attribute, Message, build_message, parse_message
from tests.unit.wire.samples import large_sa_init

SAMPLES = 9


def timed(action: Callable[[], object], repeats: int) -> float:
    """Microseconds of one call, averaged over repeats."""
    start = time.perf_counter()
    for _ in range(repeats):
        action()
    return (time.perf_counter() - start) / repeats * 1e6


def compare(ours: Callable[[], object], theirs: Callable[[], object], repeats: tuple[int, int]) -> tuple[float, float]:
    """Medians of both in microseconds, their samples taken in turn."""
    pairs = [(timed(ours, repeats[0]), timed(theirs, repeats[1])) for _ in range(SAMPLES)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def contrib_transform(kind: int, number: int, attributes: list[Attribute], *, last: bool) -> Any:
    """One transform; contrib needs the length by hand, or it drops the key length."""
    fields = {"next_payload": 0 if last else 3, "transform_type": kind, "transform_id": number}
    if attributes:
        fields |= {"length": 12, "key_length": attributes[0].value}
    return contrib.IKEv2_Transform(**fields)


def contrib_packet(message: Message) -> Any:
    """The message stacked with contrib's layers, as its users write it."""
    proposals = None
    sa, ke, nonce, notify = message.payloads
    for place, proposal in enumerate(sa.proposals, 1):
        chain = None
        for number, transform in enumerate(proposal.transforms, 1):
            last = number == len(proposal.transforms)
            layer = contrib_transform(transform.type, transform.id, transform.attributes, last=last)
            chain = layer if chain is None else chain / layer
        last = place == len(sa.proposals)
        layer = contrib.IKEv2_Proposal(
            next_payload=0 if last else 2, proposal=place, proto=1, trans_nb=len(proposal.transforms), trans=chain
        )
        proposals = layer if proposals is None else proposals / layer
    return (
        contrib.IKEv2(init_SPI=message.initiator_spi, exch_type=34, flags=8)
        / contrib.IKEv2_SA(prop=proposals)
        / contrib.IKEv2_KE(group=ke.group, ke=ke.data)
        / contrib.IKEv2_Nonce(nonce=nonce.data)
        / contrib.IKEv2_Notify(type=notify.notify_type)
    )


def benchmarks() -> list[dict[str, Any]]:
    """wire.parse, and wire.build from fresh objects and from a built message."""
    message = large_sa_init()
    data = build_message(message)
    prebuilt = contrib_packet(message)
    if bytes(prebuilt) != data or len(data) != 724:
        raise ValueError("contrib does not build the same message")
    rows = []
    for name, ours, theirs, repeats, against in (
        (
            "wire.parse",
            lambda: parse_message(data),
            lambda: contrib.IKEv2(data),
            (300, 6),
            "scapy.contrib.ikev2 dissect",
        ),
        (
            "wire.build",
            lambda: build_message(message),
            lambda: bytes(contrib_packet(message)),
            (300, 1),
            "scapy.contrib.ikev2 construct and build",
        ),
        (
            "wire.rebuild",
            lambda: build_message(message),
            lambda: bytes(prebuilt),
            (300, 5),
            "scapy.contrib.ikev2 raw()",
        ),
        (
            "wire.construct",
            lambda: build_message(large_sa_init()),
            lambda: bytes(contrib_packet(message)),
            (100, 1),
            "scapy.contrib.ikev2 construct and build",
        ),
    ):
        value, other = compare(ours, theirs, repeats)
        rows.append({"name": name, "value": value, "unit": "us", "ratio": other / value, "against": against})
    return rows
