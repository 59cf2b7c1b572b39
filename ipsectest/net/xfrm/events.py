"""What the kernel tells by itself: ACQUIRE, EXPIRE, NEWAE, MIGRATE, MAPPING, REPORT, changes of SAs and policies."""

import select
import struct
import time
from collections.abc import Callable, Iterator
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from errno import ENOBUFS
from socket import AF_NETLINK, SO_RCVBUF, SOCK_DGRAM, SOL_SOCKET
from types import TracebackType
from typing import Any, Self

from pyroute2.netlink import NETLINK_ADD_MEMBERSHIP, SOL_NETLINK
from pyroute2.netlink.exceptions import NetlinkDecodeError
from pyroute2.netns import create_socket

from ipsectest.net.xfrm.addresses import unpack_address
from ipsectest.net.xfrm.constants import (
    NETLINK_XFRM,
    POLICY_DIRECTIONS,
    POLICY_TYPES,
    PROTOCOLS,
    EventFlag,
    Group,
    MessageType,
    number_of,
    word_of,
)
from ipsectest.net.xfrm.errors import XfrmError
from ipsectest.net.xfrm.messages import MarshalXfrm, UserPolicyInfo, UserSaInfo, XfrmMessage
from ipsectest.net.xfrm.policies import Policy, policy_fields, policy_of, policy_type
from ipsectest.net.xfrm.records import KmAddress, Migration, Replay, Selector, Template, Usage
from ipsectest.net.xfrm.states import State, state_of

_HEADER = struct.Struct("=IH10x")
"""nlmsghdr: length and type, and what is of no interest here."""
_BUFFER = 1 << 20
_LARGEST = 1 << 16


@dataclass(frozen=True, slots=True)
class Acquire:
    """A packet needs an SA that is not there: time for IKE. An SA with this ``seq`` answers it."""

    src: str
    dst: str
    proto: str
    seq: int
    selector: Selector
    """Of the packet's flow, not of the policy."""
    policy: Policy
    if_id: int = 0
    cpu: int | None = None
    """The CPU that wants an SA of its own (RFC 9611, Linux 6.13)."""


@dataclass(frozen=True, slots=True)
class Expire:
    """A limit of an SA is reached: the soft one says rekey, at the hard one the SA is gone."""

    state: State
    hard: bool


@dataclass(frozen=True, slots=True)
class PolicyExpire:
    """A limit of a policy is reached."""

    policy: Policy
    hard: bool


@dataclass(frozen=True, slots=True)
class AsyncEvent:
    """Replay state and usage of an SA, sent from time to time or asked for with ``aevent("get")``."""

    src: str
    dst: str
    spi: int
    proto: str
    reqid: int
    flags: EventFlag
    replay: Replay
    current: Usage
    replay_threshold: int | None = None
    """Packets after which an event is due."""
    timer_threshold: int | None = None
    """Time after which an event is due, in units of 100 ms."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """An SA was added, updated or deleted."""

    change: str
    """``add``, ``update`` or ``delete``."""
    state: State


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """A policy was added, updated or deleted."""

    change: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class Flushed:
    """All SAs of a protocol (``any``: of all), or all policies of a type, are gone."""

    what: str
    """``states`` or ``policies``."""
    which: str


@dataclass(frozen=True, slots=True)
class Migrated:
    """SAs and templates have other addresses."""

    selector: Selector
    dir: str
    migrations: tuple[Migration, ...]
    kmaddress: KmAddress | None = None


@dataclass(frozen=True, slots=True)
class Mapping:
    """A peer behind a NAT sends from elsewhere (RFC 7296 section 2.23)."""

    dst: str
    spi: int
    reqid: int
    old_src: str
    old_sport: int
    new_src: str
    new_sport: int


@dataclass(frozen=True, slots=True)
class Report:
    """Mobile IPv6: a packet without the extension header that a policy wants."""

    proto: str
    selector: Selector


Event = (
    Acquire | Expire | PolicyExpire | AsyncEvent | StateChange | PolicyChange | Flushed | Migrated | Mapping | Report
)  # fmt: skip


def _acquire(message: XfrmMessage) -> Acquire:
    family = message["sel"].family
    templates: tuple[Template, ...] = message.get_attr("XFRMA_TMPL") or ()
    if templates and templates[0].family:
        family = templates[0].family  # the SA's, which differs from the packet's in a tunnel of the other IP version
    mark, if_id = message.get_attr("XFRMA_MARK"), message.get_attr("XFRMA_IF_ID") or 0
    kind = word_of(POLICY_TYPES, policy_type(message))
    policy = Policy(**policy_fields(message, "policy_"), templates=templates, mark=mark, if_id=if_id, type=kind)
    return Acquire(
        unpack_address(message["saddr"], family),
        unpack_address(message["daddr"], family),
        word_of(PROTOCOLS, message["proto"]),
        message["seq"],
        message["sel"],
        policy,
        if_id,
        message.get_attr("XFRMA_SA_PCPU"),
    )


def async_event_of(message: XfrmMessage) -> AsyncEvent:
    """The event of an xfrm_aevent_id."""
    family, attribute = message["family"], message.get_attr
    window = attribute("XFRMA_REPLAY_ESN_VAL")
    return AsyncEvent(
        unpack_address(message["saddr"], family),
        unpack_address(message["daddr"], family),
        message["spi"],
        word_of(PROTOCOLS, message["proto"]),
        message["reqid"],
        EventFlag(message["flags"]),
        window.state if window else attribute("XFRMA_REPLAY_VAL") or Replay(),
        attribute("XFRMA_LTIME_VAL") or Usage(),
        attribute("XFRMA_REPLAY_THRESH"),
        attribute("XFRMA_ETIMER_THRESH"),
    )


def _deleted_state(message: XfrmMessage) -> StateChange:
    return StateChange("delete", state_of(_within(message, "XFRMA_SA", UserSaInfo, 224)))


def _deleted_policy(message: XfrmMessage) -> PolicyChange:
    return PolicyChange("delete", policy_of(_within(message, "XFRMA_POLICY", UserPolicyInfo, 168)))


def _within(message: XfrmMessage, attribute: str, kind: type[XfrmMessage], size: int) -> XfrmMessage:
    """The whole SA or policy that a message of deletion has as an attribute, beside its other attributes."""
    whole = kind()
    octets = (message.get_attr(attribute) or b"")[:size]
    offset = 0
    for name, layout in whole.fields:
        whole[name], offset = (
            whole.decode_field(layout, octets, offset)
            if isinstance(layout, str)
            else layout.decode_from(octets, offset)
        )
    whole["attrs"] = message["attrs"]
    return whole


def _migrated(message: XfrmMessage) -> Migrated:
    direction = word_of(POLICY_DIRECTIONS, message["dir"])
    migrations, kmaddress = message.get_attr("XFRMA_MIGRATE") or (), message.get_attr("XFRMA_KMADDRESS")
    return Migrated(message["sel"], direction, migrations, kmaddress)


def _mapping(message: XfrmMessage) -> Mapping:
    family = message["family"]
    return Mapping(
        unpack_address(message["daddr"], family),
        message["spi"],
        message["reqid"],
        unpack_address(message["old_saddr"], family),
        message["old_sport"],
        unpack_address(message["new_saddr"], family),
        message["new_sport"],
    )


_READERS: MappingType[int, Callable[[Any], Event]] = {
    MessageType.ACQUIRE: _acquire,
    MessageType.EXPIRE: lambda m: Expire(state_of(m), bool(m["hard"])),
    MessageType.POLEXPIRE: lambda m: PolicyExpire(policy_of(m), bool(m["hard"])),
    MessageType.NEWAE: async_event_of,
    MessageType.NEWSA: lambda m: StateChange("add", state_of(m)),
    MessageType.UPDSA: lambda m: StateChange("update", state_of(m)),
    MessageType.DELSA: _deleted_state,
    MessageType.FLUSHSA: lambda m: Flushed("states", word_of(PROTOCOLS, m["proto"])),
    MessageType.NEWPOLICY: lambda m: PolicyChange("add", policy_of(m)),
    MessageType.UPDPOLICY: lambda m: PolicyChange("update", policy_of(m)),
    MessageType.DELPOLICY: _deleted_policy,
    MessageType.FLUSHPOLICY: lambda m: Flushed("policies", word_of(POLICY_TYPES, policy_type(m))),
    MessageType.MIGRATE: _migrated,
    MessageType.MAPPING: _mapping,
    MessageType.REPORT: lambda m: Report(word_of(PROTOCOLS, m["proto"]), m["sel"]),
}


def _messages(data: bytes) -> Iterator[bytes]:
    """The messages in a datagram that we read, each by itself; what does not fit into it is none."""
    at = 0
    while len(data) - at >= _HEADER.size:
        length, kind = _HEADER.unpack_from(data, at)
        if not _HEADER.size <= length <= len(data) - at:
            return
        if kind in _READERS:
            yield data[at : at + length]
        at += length + 3 & ~3


class XfrmEvents:
    """A subscription: events come from its descriptor, which any event loop may watch.

    ``groups`` are names of ``Group`` in lower case. Raises ValueError for other ones, XfrmError where there is no
    such namespace or the kernel has no XFRM.
    """

    def __init__(self, *groups: str, netns: str | None = None) -> None:
        known = {group.name.lower(): group for group in Group}
        numbers = [number_of(known, name) for name in groups]
        self.lost = 0
        """Times that the kernel had more events than the socket could hold."""
        self.damaged = 0
        """Messages that were too short for what they say they are; no kernel sends such."""
        self._marshal = MarshalXfrm()
        try:
            self._socket = create_socket(netns, AF_NETLINK, SOCK_DGRAM, NETLINK_XFRM, flags=0)
        except OSError as error:
            raise XfrmError(error.errno or 0, request=f"opening a socket in namespace {netns}") from error
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(SOL_SOCKET, SO_RCVBUF, _BUFFER)
            self._socket.bind((0, 0))
            for number in numbers:
                self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, number)
        except OSError as error:
            self.close()
            raise XfrmError(error.errno or 0, request=f"subscribing to {', '.join(groups)}") from error

    def fileno(self) -> int:
        """The descriptor, readable when there are events."""
        descriptor: int = self._socket.fileno()
        return descriptor

    def read(self) -> list[Event]:
        """The events that are there; never waits."""
        events: list[Event] = []
        while True:
            try:
                data, (sender, _) = self._socket.recvfrom(_LARGEST)
            except BlockingIOError:
                return events
            except OSError as error:
                if error.errno != ENOBUFS:
                    raise
                self.lost += 1
                continue
            if sender == 0:  # the kernel; other processes may send here, too
                events.extend(self._parse(data))

    def wait(self, timeout: float) -> list[Event]:
        """The next events; none if none comes within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while True:
            events = self.read()
            left = end - time.monotonic()
            if events or left <= 0:
                return events
            poll.poll(left * 1000)

    def _parse(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for octets in _messages(data):
            try:
                events += [_READERS[m["header"]["type"]](m) for m in self._marshal.parse(octets)]
            except (struct.error, ValueError, NetlinkDecodeError):
                self.damaged += 1
        return events

    def close(self) -> None:
        """End the subscription."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
