"""XFRM, the kernel's IPsec database, on pyroute2's netlink framework.

    with Xfrm(netns="gateway") as xfrm:
        spi = xfrm.allocspi(src="192.0.2.1", dst="192.0.2.2", proto="esp", mode="tunnel")
        xfrm.state("add", src="192.0.2.2", dst="192.0.2.1", spi=0x1001, mode="tunnel",
                   aead=("rfc4106(gcm(aes))", key, 128), replay_window=64, esn=True)
        for state in xfrm.state("dump"):
            print(state.dst, hex(state.spi), state.current.packets)
        with xfrm.events("acquire", "expire") as events:
            for event in events.wait(timeout=5.0):
                ...

Verbs take the fields of ``State`` and ``Policy`` as keywords, or such a record, and dumps give these records:
what was read can be written again. A refusal of the kernel is an ``XfrmError`` with its number and its text.
Needs pyroute2 0.9 and nothing else of this product.
"""

from ipsectest.net.xfrm.algorithms import encryption, integrity
from ipsectest.net.xfrm.constants import EventFlag, ExtraFlag, OffloadFlag, PolicyFlag, StateFlag
from ipsectest.net.xfrm.errors import XfrmError
from ipsectest.net.xfrm.events import (
    Acquire,
    AsyncEvent,
    Event,
    Expire,
    Flushed,
    Mapping,
    Migrated,
    PolicyChange,
    PolicyExpire,
    Report,
    StateChange,
    XfrmEvents,
)
from ipsectest.net.xfrm.interfaces import add_interface
from ipsectest.net.xfrm.iptfs import Iptfs
from ipsectest.net.xfrm.policies import Policy, PolicyDatabase, PolicyDefaults
from ipsectest.net.xfrm.records import (
    Aead,
    Algorithm,
    Authentication,
    Encapsulation,
    KmAddress,
    Lifetimes,
    Mark,
    Migration,
    Offload,
    Replay,
    SecurityContext,
    Selector,
    Statistics,
    Template,
    Usage,
)
from ipsectest.net.xfrm.socket import AsyncXfrm, Xfrm
from ipsectest.net.xfrm.states import State, StateDatabase
from ipsectest.net.xfrm.statistics import statistics

__all__ = [
    "Acquire",
    "Aead",
    "Algorithm",
    "AsyncEvent",
    "AsyncXfrm",
    "Authentication",
    "Encapsulation",
    "Event",
    "EventFlag",
    "Expire",
    "ExtraFlag",
    "Flushed",
    "Iptfs",
    "KmAddress",
    "Lifetimes",
    "Mapping",
    "Mark",
    "Migrated",
    "Migration",
    "Offload",
    "OffloadFlag",
    "Policy",
    "PolicyChange",
    "PolicyDatabase",
    "PolicyDefaults",
    "PolicyExpire",
    "PolicyFlag",
    "Replay",
    "Report",
    "SecurityContext",
    "Selector",
    "State",
    "StateChange",
    "StateDatabase",
    "StateFlag",
    "Statistics",
    "Template",
    "Usage",
    "Xfrm",
    "XfrmError",
    "XfrmEvents",
    "add_interface",
    "encryption",
    "integrity",
    "statistics",
]
