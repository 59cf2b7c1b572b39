"""The kernel's data plane: Child SAs as XFRM states and policies, its ACQUIREs and EXPIREs as calls."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, summarize_address_range
from itertools import count
from typing import Any, Protocol

from ipsectest.base.addresses import Address
from ipsectest.base.clock import Instant
from ipsectest.base.iana import ProtocolId, TransformType
from ipsectest.net.xfrm import (
    Acquire,
    Aead,
    Expire,
    Lifetimes,
    Mapping,
    Policy,
    Replay,
    Selector,
    State,
    StateFlag,
    Template,
    Xfrm,
    XfrmError,
    encryption,
    integrity,
)
from ipsectest.wire.ip import ICMP, ICMPV6

_ENCR_NULL = 11
_TRAP = b""
"""Stands among inbound SPIs for a trap."""
_BUSIEST = 1 << 16
"""Priority of a policy for everything; each bit of a prefix, a protocol and a port make it come earlier."""


_LEAP = 1 << 12
"""Packets that may leave in the milliseconds between reading a sequence number and leading them elsewhere."""


class Range(Protocol):
    """A traffic selector: ``wire.TrafficSelector`` is one."""

    @property
    def protocol(self) -> int: ...  # noqa: D102  # the names are those of RFC 7296 section 3.13.1
    @property
    def start_port(self) -> int: ...  # noqa: D102
    @property
    def end_port(self) -> int: ...  # noqa: D102
    @property
    def start(self) -> bytes: ...  # noqa: D102
    @property
    def end(self) -> bytes: ...  # noqa: D102


class Child(Protocol):
    """A pair of SAs: ``ike.sa.ChildSa`` is one. ``chosen`` has ``of(transform type)`` and ``esn``, ``keys`` KEYMAT."""

    @property
    def protocol(self) -> int: ...  # noqa: D102
    @property
    def spi_in(self) -> bytes: ...  # noqa: D102
    @property
    def spi_out(self) -> bytes: ...  # noqa: D102
    @property
    def chosen(self) -> Any: ...  # noqa: D102
    @property
    def keys(self) -> Any: ...  # noqa: D102
    @property
    def mode(self) -> Any: ...  # noqa: D102
    @property
    def local_ts(self) -> Sequence[Range]: ...  # noqa: D102
    @property
    def remote_ts(self) -> Sequence[Range]: ...  # noqa: D102
    @property
    def real(self) -> Any: ...  # noqa: D102
    @property
    def replaces(self) -> "Child | None": ...  # noqa: D102


@dataclass(slots=True)
class _Installed:
    reqid: int
    inbound: State
    outbound: State
    sends: bool = False
    """Whether the outbound SA is in the kernel."""
    policies: list[Policy] = field(default_factory=list)


class XfrmPlane:
    """A machine for ``EventLoop``; one for each namespace.

    Child SAs that replace one another share a reqid and their policies, so that traffic always finds an SA: the new
    inbound SA comes first, the outbound one when the endpoint says that the peer has it, and the old pair goes only
    when it is removed. Linux sends on the younger of two. Raises XfrmError for what the kernel refuses.
    """

    def __init__(
        self,
        namespace: str | None,
        *,
        on_acquire: Callable[[Acquire, Instant], None] = lambda _acquire, _now: None,
        on_expire: Callable[[bytes, bool, Instant], None] = lambda _spi, _hard, _now: None,
        on_mapping: Callable[[Mapping, Instant], None] = lambda _mapping, _now: None,
        limits: Lifetimes | None = None,
        replay_window: int = 64,
        if_id: int = 0,
    ) -> None:
        """``on_expire`` gets the SPI of the inbound SA of the pair, whichever of the two has reached its limit."""
        self.xfrm = Xfrm(netns=namespace)
        try:
            self._events = self.xfrm.events("acquire", "expire", "mapping")
        except XfrmError:
            self.xfrm.close()
            raise
        self._on_acquire, self._on_expire, self._on_mapping = on_acquire, on_expire, on_mapping
        self._limits = limits or Lifetimes()
        self._window = replay_window
        self._if_id = if_id
        self._installed: dict[bytes, _Installed] = {}
        self._users: dict[Policy, dict[bytes, Policy]] = {}  # by inbound SPI, the one in the kernel last
        self._reqids = count(1)

    def install(self, child: Child, local: Address, remote: Address, *, sends: bool = True, seq: int = 0) -> None:
        """Take a Child SA into use; without ``sends`` for inbound traffic only, until ``switch``.

        Ports of the addresses mean UDP encapsulation. ``seq`` is that of an ACQUIRE that this answers: else the kernel
        goes on waiting, and asks no more for net.core.xfrm_acq_expires (30) seconds.
        """
        replaced = self._installed.get(child.replaces.spi_in) if child.replaces else None
        reqid = replaced.reqid if replaced else next(self._reqids)
        inbound = self._state(child, remote, local, reqid, outbound=False)
        outbound = replace(self._state(child, local, remote, reqid, outbound=True), seq=seq)
        pair = _Installed(reqid, inbound, outbound)
        self.xfrm.state("add", inbound)
        self._installed[child.spi_in] = pair
        try:
            if sends:
                self.switch(child)
            self._lead(child, pair)
        except XfrmError:
            self.remove(child)
            raise

    def switch(self, child: Child) -> None:
        """Send on this Child SA from now on."""
        pair = self._installed[child.spi_in]
        if not pair.sends:
            self.xfrm.state("add", pair.outbound)
            pair.sends = True

    def remove(self, child: Child) -> None:
        """Remove both SAs, and the policies that no other Child SA needs. An SA that expired is gone already."""
        pair = self._installed.pop(child.spi_in, None)
        if pair is None:
            return
        try:
            for policy in pair.policies:
                self._release(policy, child.spi_in)
        finally:
            for state in (pair.outbound, pair.inbound) if pair.sends else (pair.inbound,):
                self._forget(state)

    def _release(self, policy: Policy, spi: bytes) -> None:
        """A Child SA, or a trap, needs a policy no longer: who came before takes it over."""
        users = self._users.get(_key(policy), {})
        if users.pop(spi, None) is None:
            return
        if not users:
            del self._users[_key(policy)]
            self._forget(policy)
        elif (other := next(reversed(users.values()))) != policy:
            self.xfrm.policy("update", other)

    def move(self, child: Child, local: Address, remote: Address) -> None:
        """Other outer addresses or ports for a Child SA, and the selectors that it has now; keys and limits stay.

        RFC 7296 section 2.23 and RFC 4555. Other ports lose nothing, nor do packets that leave for another host of
        the peer: the policies lead from the old SA to the new one, which has gone ahead of the old one's sequence
        numbers, because the nonces of AEADs are made of them. Packets that come while an inbound SA gets another
        host are lost if nobody keeps them (``EarlyPackets``), and so are a few that leave where our own end changes,
        or plain ESP to ESP in UDP.
        """
        pair, former = self._installed[child.spi_in], self._installed[child.spi_in].outbound
        pair.inbound = self._moved(pair.inbound, _readdressed(child, pair.inbound, remote, local, outbound=False))
        there = _readdressed(child, former, local, remote, outbound=True)
        beside = pair.sends and there.dst != former.dst
        if beside:
            (now,) = self.xfrm.state("get", former)
            self.xfrm.state("add", replace(there, replay=_ahead(now), current=now.current))
        elif pair.sends:
            self._moved(former, there)
        pair.outbound = there
        try:
            self._lead(child, pair)
        finally:
            if beside:
                self._forget(former)

    def _lead(self, child: Child, pair: _Installed) -> None:
        """Policies that lead to a pair of SAs, in place of those that it had."""
        former, pair.policies = pair.policies, list(_policies(child, pair.outbound, self._if_id))
        for policy in pair.policies:
            self.xfrm.policy("update", policy)
            self._users.setdefault(_key(policy), {})[child.spi_in] = policy
        kept = {_key(policy) for policy in pair.policies}
        for policy in former:
            if _key(policy) not in kept:
                self._release(policy, child.spi_in)

    def counters(self, child: Child) -> tuple[State, State]:
        """The inbound and the outbound SA as the kernel has them now."""
        pair = self._installed[child.spi_in]
        return self.xfrm.state("get", pair.inbound)[0], self.xfrm.state("get", pair.outbound)[0]

    def trap(self, selector: Selector, local: str, remote: str, *, mode: str = "tunnel") -> Policy:
        """A policy without an SA, whose first packet brings an ACQUIRE.

        A Child SA of the same selector takes its place while it lives; so traffic never goes out in clear.
        """
        addresses = (local, remote) if mode == "tunnel" else ("", "")
        template = Template(*addresses, mode=mode, reqid=next(self._reqids))
        policy = Policy(selector=selector, dir="out", priority=_BUSIEST * 2, templates=(template,), if_id=self._if_id)
        users = self._users.get(_key(policy), {})
        if not users:
            self.xfrm.policy("update", policy)
        self._users[_key(policy)] = {_TRAP: policy, **users}
        return policy

    def untrap(self, policy: Policy) -> None:
        """Remove what ``trap`` made."""
        self._release(policy, _TRAP)

    def handles(self) -> Sequence[int]:
        """The subscription's descriptor."""
        return (self._events.fileno(),)

    def readable(self, handle: int, now: Instant) -> None:
        """Pass on what the kernel tells."""
        del handle
        for event in self._events.read():
            match event:
                case Acquire():
                    self._on_acquire(event, now)
                case Expire(state=state, hard=hard):
                    spi = self._pair_of(state)
                    if spi is not None:
                        self._on_expire(spi, hard, now)
                case Mapping():
                    self._on_mapping(event, now)
                case _:
                    pass

    def get_timer(self) -> Instant | None:
        """None: limits of time are the kernel's."""
        return None

    def handle_timer(self, now: Instant) -> None:
        """Not called."""

    def close(self) -> None:
        """Remove what was installed, and end the subscription."""
        for pair in self._installed.values():
            for state in (pair.inbound, pair.outbound):
                self._forget(state)
        for policy in self._users:
            self._forget(policy)
        self._users.clear()
        self._installed.clear()
        self._events.close()
        self.xfrm.close()

    def _state(self, child: Child, source: Address, destination: Address, reqid: int, *, outbound: bool) -> State:
        state = State(
            src=source.host,
            dst=destination.host,
            spi=int.from_bytes(child.spi_out if outbound else child.spi_in, "big"),
            proto="esp" if child.protocol == ProtocolId.ESP else "ah",
            mode=child.mode.value,
            reqid=reqid,
            **_carries(child, outbound=outbound),
            encap=_in_udp(source, destination, "" if outbound else _written(child)),
            esn=child.chosen.esn,
            replay_window=self._window,
            limits=self._limits,
            if_id=self._if_id,
        )
        keys = child.keys
        cipher, authenticator = child.chosen.of(TransformType.ENCR), child.chosen.of(TransformType.INTEG)
        if authenticator:
            key = keys.integrity_out if outbound else keys.integrity_in
            state = replace(state, auth=integrity(authenticator.id, key))
        if state.proto == "esp":
            key = keys.encryption_out if outbound else keys.encryption_in
            algorithm = encryption(cipher.id if cipher else _ENCR_NULL, key)
            state = replace(state, aead=algorithm) if isinstance(algorithm, Aead) else replace(state, crypt=algorithm)
        return state

    def _moved(self, state: State, there: State) -> State:
        """Put a state in the place of another one of the same SPI."""
        if (state.src, state.dst) == (there.src, there.dst) and state.encap and there.encap:
            self.xfrm.state("update", there)  # counters stay
        else:
            (now,) = self.xfrm.state("get", state)
            self.xfrm.state("del", state)
            self.xfrm.state("add", replace(there, replay=now.replay, current=now.current))
        return there

    def _pair_of(self, state: State) -> bytes | None:
        for spi, pair in self._installed.items():
            if (state.dst, state.spi) in {(sa.dst, sa.spi) for sa in (pair.inbound, pair.outbound)}:
                return spi
        return None

    def _forget(self, record: State | Policy) -> None:
        with suppress(XfrmError):  # it may be gone: expired, or flushed by someone else
            if isinstance(record, State):
                self.xfrm.state("del", record)
            else:
                self.xfrm.policy("del", record)


def _readdressed(child: Child, state: State, source: Address, destination: Address, *, outbound: bool) -> State:
    encap = _in_udp(source, destination, "".join(state.encap[3:]) if state.encap else "")
    return replace(
        state, src=source.host, dst=destination.host, encap=encap, seq=0, **_carries(child, outbound=outbound)
    )


def _ahead(state: State) -> Replay:
    """Sequence numbers beyond what a state may still use while another one takes its place, and not beyond the last."""
    last = (1 << (64 if state.esn else 32)) - 1
    return state.replay._replace(oseq=min(state.replay.oseq + _LEAP, last))


def _in_udp(source: Address, destination: Address, original: str) -> tuple[str, int, int, str] | None:
    return ("espinudp", source.port, destination.port, original) if source.port else None


def _written(child: Child) -> str:
    """What the peer made checksums of transport mode with behind a NAT (RFC 3948 section 3.1.2).

    Linux shows the address and does without: it takes what came in ESP for right.
    """
    return str(ip_address(child.real.remote)) if child.real else ""


def _carries(child: Child, *, outbound: bool) -> dict[str, Any]:
    """What a state may carry. The policies check what a tunnel brings, of either IP version.

    They let everything pass that transport mode brings beside their selectors, so the state itself checks that
    (RFC 4301 section 5.2); it has room for one selector only.
    """
    if child.mode.value == "tunnel":
        return {"flags": StateFlag.AF_UNSPEC}
    ways = list(selectors(child.local_ts, child.remote_ts))
    if len(ways) != 1:
        return {}
    return {"selector": ways[0] if outbound else _mirrored(ways[0])}


def _mirrored(selector: Selector) -> Selector:
    ports = {} if selector.proto in {ICMP, ICMPV6} else _ports_swapped(selector)
    return replace(selector, src=selector.dst, dst=selector.src, **ports)


def _key(policy: Policy) -> Policy:
    """A policy by what the kernel tells policies apart by."""
    return Policy(selector=policy.selector, dir=policy.dir, if_id=policy.if_id)


def _policies(child: Child, outbound: State, if_id: int) -> Iterator[Policy]:
    """What leaves for the other side, comes from there, and is passed on from there (tunnels only)."""
    tunnel = outbound.mode == "tunnel"
    addresses = (outbound.src, outbound.dst) if tunnel else ("", "")
    template = Template(*addresses, proto=outbound.proto, mode=outbound.mode, reqid=outbound.reqid)
    back = replace(template, src=template.dst, dst=template.src)
    for selector in selectors(child.local_ts, child.remote_ts):
        priority = _priority(selector)
        mirrored = _mirrored(selector)
        yield Policy(selector=selector, dir="out", priority=priority, templates=(template,), if_id=if_id)
        for direction in ("in", "fwd") if tunnel else ("in",):
            yield Policy(selector=mirrored, dir=direction, priority=priority, templates=(back,), if_id=if_id)


def _ports_swapped(selector: Selector) -> dict[str, Any]:
    return {
        "sport": selector.dport,
        "sport_mask": selector.dport_mask,
        "dport": selector.sport,
        "dport_mask": selector.sport_mask,
    }


def _priority(selector: Selector) -> int:
    bits = sum(int(prefix.partition("/")[2]) for prefix in (selector.src, selector.dst))
    ports = (selector.sport is not None) + (selector.dport is not None)
    return _BUSIEST - 8 * bits - 4 * (selector.proto != 0) - 2 * ports


def selectors(local: Sequence[Range], remote: Sequence[Range]) -> Iterator[Selector]:
    """The kernel's selectors for traffic from local to remote ranges: prefixes, and ports as numbers with masks.

    Ranges of addresses and ports fall apart into the fewest prefixes; OPAQUE ports cannot be told and stand for any.
    A range within another adds nothing: those of the packet that asked for an SA stand beside what is wanted of it.
    """
    for here in _widest(local):
        for there in _widest(remote):
            protocols = {here.protocol, there.protocol} - {0}
            if len(here.start) != len(there.start) or len(protocols) > 1:
                continue
            protocol = protocols.pop() if protocols else 0
            for source in _prefixes(here):
                for destination in _prefixes(there):
                    for sport, sport_mask, dport, dport_mask in _ports(here, there, protocol):
                        yield Selector(source, destination, protocol, sport, dport, sport_mask, dport_mask)


def _widest(ranges: Sequence[Range]) -> list[Range]:
    """Without ranges that others cover; of equal ones the first stays."""
    return [
        one
        for number, one in enumerate(ranges)
        if not any(_covers(other, one) and (at < number or not _covers(one, other)) for at, other in enumerate(ranges))
    ]


def _covers(wide: Range, one: Range) -> bool:
    return (
        len(wide.start) == len(one.start)
        and wide.start <= one.start
        and one.end <= wide.end
        and wide.protocol in {0, one.protocol}
        and wide.start_port <= one.start_port
        and one.end_port <= wide.end_port
    )


def _prefixes(one: Range) -> list[str]:
    return [str(net) for net in summarize_address_range(ip_address(one.start), ip_address(one.end))]


def _ports(here: Range, there: Range, protocol: int) -> Iterator[tuple[int | None, int, int | None, int]]:
    if protocol in {ICMP, ICMPV6}:
        # Type and code stand in the high and low octet of a port (RFC 7296 section 3.13.1); for the kernel they are
        # source and destination port.
        first, last = max(here.start_port, there.start_port), min(here.end_port, there.end_port)
        if first >> 8 != last >> 8:
            yield None, 0xFFFF, None, 0xFFFF
        else:
            yield first >> 8, 0xFFFF, first & 0xFF if first == last else None, 0xFFFF
        return
    for sport, sport_mask in port_blocks(here.start_port, here.end_port):
        for dport, dport_mask in port_blocks(there.start_port, there.end_port):
            yield sport, sport_mask, dport, dport_mask


def port_blocks(first: int, last: int) -> list[tuple[int | None, int]]:
    """A range of ports as (port, mask) pairs, as prefixes are made of addresses; at most 30 of them."""
    if first > last or (first, last) == (0, 0xFFFF):
        return [(None, 0xFFFF)]
    blocks: list[tuple[int | None, int]] = []
    while first <= last:
        size = first & -first or 1 << 16
        while first + size - 1 > last:
            size >>= 1
        blocks.append((first, 0xFFFF & -size))
        first += size
    return blocks
