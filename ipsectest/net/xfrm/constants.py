"""Numbers of linux/xfrm.h under the words that ip-xfrm(8) uses for them."""

from collections.abc import Mapping
from enum import IntEnum, IntFlag

NETLINK_XFRM = 6


class MessageType(IntEnum):
    """XFRM_MSG_*."""

    NEWSA = 16
    DELSA = 17
    GETSA = 18
    NEWPOLICY = 19
    DELPOLICY = 20
    GETPOLICY = 21
    ALLOCSPI = 22
    ACQUIRE = 23
    EXPIRE = 24
    UPDPOLICY = 25
    UPDSA = 26
    POLEXPIRE = 27
    FLUSHSA = 28
    FLUSHPOLICY = 29
    NEWAE = 30
    GETAE = 31
    REPORT = 32
    MIGRATE = 33
    NEWSADINFO = 34
    GETSADINFO = 35
    NEWSPDINFO = 36
    GETSPDINFO = 37
    MAPPING = 38
    SETDEFAULT = 39
    GETDEFAULT = 40


class Group(IntEnum):
    """XFRMNLGRP_*: numbers of multicast groups, for NETLINK_ADD_MEMBERSHIP."""

    ACQUIRE = 1
    EXPIRE = 2
    SA = 3
    POLICY = 4
    AEVENTS = 5
    REPORT = 6
    MIGRATE = 7
    MAPPING = 8


class StateFlag(IntFlag):
    """XFRM_STATE_*; ESN is ``State.esn``."""

    NOECN = 1
    DECAP_DSCP = 2
    NOPMTUDISC = 4
    WILDRECV = 8
    ICMP = 16
    AF_UNSPEC = 32
    ALIGN4 = 64
    ESN = 128


class ExtraFlag(IntFlag):
    """XFRM_SA_XFLAG_*."""

    DONT_ENCAP_DSCP = 1
    OSEQ_MAY_WRAP = 2


class PolicyFlag(IntFlag):
    """XFRM_POLICY_*."""

    LOCALOK = 1
    ICMP = 2
    CPU_ACQUIRE = 4
    """Ask for an SA for each CPU (RFC 9611, Linux 6.13)."""


class OffloadFlag(IntFlag):
    """XFRM_OFFLOAD_*: without PACKET the device does the cryptography only."""

    IPV6 = 1
    INBOUND = 2
    PACKET = 4


class EventFlag(IntFlag):
    """XFRM_AE_*: what an asynchronous event holds, and why it came."""

    REPLAY_THRESHOLD = 1
    REPLAY = 2
    LIFETIME = 4
    TIMER_THRESHOLD = 8
    FROM_REPLAY = 16
    FROM_TIMER = 32
    FROM_POLICY = 64


NO_LIMIT = (1 << 64) - 1
"""XFRM_INF."""

PROTOCOLS: Mapping[str, int] = {"esp": 50, "ah": 51, "comp": 108, "route2": 43, "hao": 60, "any": 255}
MODES: Mapping[str, int] = {"transport": 0, "tunnel": 1, "ro": 2, "in_trigger": 3, "beet": 4, "iptfs": 5}
POLICY_DIRECTIONS: Mapping[str, int] = {"in": 0, "out": 1, "fwd": 2}
POLICY_ACTIONS: Mapping[str, int] = {"allow": 0, "block": 1}
POLICY_TYPES: Mapping[str, int] = {"main": 0, "sub": 1}
DEFAULT_ACTIONS: Mapping[str, int] = {"unspec": 0, "block": 1, "accept": 2}
SHARES: Mapping[str, int] = {"any": 0, "session": 1, "user": 2, "unique": 3}
STATE_DIRECTIONS: Mapping[str, int] = {"": 0, "in": 1, "out": 2}
ENCAPSULATIONS: Mapping[str, int] = {"espinudp-nonike": 1, "espinudp": 2, "espintcp": 7}


def number_of(table: Mapping[str, int], word: str) -> int:
    """The number behind a word, or behind the decimal digits of one. Raises ValueError for other words."""
    if word in table:
        return table[word]
    if word.isascii() and word.isdecimal():
        return int(word)
    raise ValueError(f"{word!r} is none of {', '.join(filter(None, table))}")


def word_of(table: Mapping[str, int], number: int) -> str:
    """The word for a number, its decimal digits where there is none."""
    return next((word for word, value in table.items() if value == number), str(number))
