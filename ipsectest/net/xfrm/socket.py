"""The sockets: verbs of XFRM for pyroute2's asynchronous and plain style."""

import struct
from collections.abc import Iterable, Iterator
from typing import Any

from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nlsocket import AsyncNetlinkSocket, NetlinkSocket

from ipsectest.net.xfrm.constants import (
    DEFAULT_ACTIONS,
    NETLINK_XFRM,
    POLICY_DIRECTIONS,
    POLICY_TYPES,
    PROTOCOLS,
    EventFlag,
    MessageType,
    number_of,
    word_of,
)
from ipsectest.net.xfrm.errors import XfrmError
from ipsectest.net.xfrm.events import AsyncEvent, XfrmEvents, async_event_of
from ipsectest.net.xfrm.filters import AddressFilter
from ipsectest.net.xfrm.messages import (
    AsyncEventId,
    MarshalXfrm,
    SadInfo,
    SpdInfo,
    UserPolicyDefault,
    UserPolicyId,
    UserSaFlush,
    UserSpiInfo,
    XfrmMessage,
)
from ipsectest.net.xfrm.policies import (
    Policy,
    PolicyDatabase,
    PolicyDefaults,
    policy_identity_message,
    policy_message,
    policy_of,
)
from ipsectest.net.xfrm.records import Encapsulation, KmAddress, Migration, ReplayWindow, Selector
from ipsectest.net.xfrm.states import (
    State,
    StateDatabase,
    fill_identity,
    fill_state,
    identity_message,
    state_message,
    state_of,
)

_GET = NLM_F_REQUEST
_DO = NLM_F_REQUEST | NLM_F_ACK
_ADD = _DO | NLM_F_CREATE | NLM_F_EXCL
_UPDATE = _DO | NLM_F_REPLACE
_DUMP = NLM_F_REQUEST | NLM_F_DUMP


class AsyncXfrm(AsyncNetlinkSocket):  # type: ignore[misc]  # pyroute2 has no types
    """XFRM for asyncio. See ``Xfrm``: verbs, arguments and errors are the same, to be awaited."""

    marshal_class = MarshalXfrm

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"family": NETLINK_XFRM, "ext_ack": True, "flags": 0, **options})

    async def request(self, message: Any, kind: MessageType, flags: int, what: str) -> list[Any]:
        """Send a message and collect the answers. Raises XfrmError, and ValueError for what cannot be sent."""
        try:
            return [answer async for answer in await self.nlm_request(message, kind, flags)]
        except NetlinkError as error:
            raise XfrmError(error.code, str(error.args[1] or ""), what) from error
        except struct.error as error:
            raise ValueError(f"{what}: a number does not fit its field ({error})") from error

    async def state(self, command: str, record: State | None = None, **fields: Any) -> tuple[State, ...]:
        """See ``Xfrm.state``."""
        if command == "dump":
            dump = XfrmMessage()
            dump["attrs"] = list(_narrowing(**fields))
            found = await self.request(dump, MessageType.GETSA, _DUMP, "listing states")
            return tuple(map(state_of, found))
        if command == "flush":
            flush = UserSaFlush()
            flush["proto"] = number_of(PROTOCOLS, fields.get("proto", "any"))
            await self.request(flush, MessageType.FLUSHSA, _DO, "flushing states")
            return ()
        state = record or State(**fields)
        if command == "get":
            found = await self.request(identity_message(state), MessageType.GETSA, _GET, f"getting {state}")
            return tuple(map(state_of, found))
        if command == "del":
            await self.request(identity_message(state), MessageType.DELSA, _DO, f"deleting {state}")
        elif command == "add":
            await self.request(state_message(state), MessageType.NEWSA, _ADD, f"adding {state}")
        elif command == "update":
            await self.request(state_message(state), MessageType.UPDSA, _UPDATE, f"updating {state}")
        else:
            raise ValueError(f"{command!r} is none of add, update, del, get, dump, flush")
        return ()

    async def allocspi(self, minimum: int = 0x100, maximum: int = 0xFFFFFFFF, **fields: Any) -> int:
        """See ``Xfrm.allocspi``."""
        state = State(**fields)
        message = fill_state(UserSpiInfo(), state)
        message["min"], message["max"] = minimum, maximum
        answers = await self.request(message, MessageType.ALLOCSPI, _GET, f"allocating an SPI for {state.dst}")
        return state_of(answers[0]).spi

    async def policy(self, command: str, record: Policy | None = None, **fields: Any) -> tuple[Policy, ...]:
        """See ``Xfrm.policy``."""
        if command == "dump":
            found = await self.request(XfrmMessage(), MessageType.GETPOLICY, _DUMP, "listing policies")
            return tuple(map(policy_of, found))
        if command == "flush":
            flush = XfrmMessage()
            kind = number_of(POLICY_TYPES, fields.get("type", "main"))
            flush["attrs"] = [("XFRMA_POLICY_TYPE", kind)] if kind else []
            await self.request(flush, MessageType.FLUSHPOLICY, _DO, "flushing policies")
            return ()
        policy = record or Policy(**fields)
        if command == "get":
            message = policy_identity_message(policy)
            return tuple(map(policy_of, await self.request(message, MessageType.GETPOLICY, _GET, f"getting {policy}")))
        if command == "del":
            await self.request(policy_identity_message(policy), MessageType.DELPOLICY, _DO, f"deleting {policy}")
        elif command == "add":
            await self.request(policy_message(policy), MessageType.NEWPOLICY, _ADD, f"adding {policy}")
        elif command == "update":
            await self.request(policy_message(policy), MessageType.UPDPOLICY, _UPDATE, f"updating {policy}")
        else:
            raise ValueError(f"{command!r} is none of add, update, del, get, dump, flush")
        return ()

    async def migrate(
        self,
        selector: Selector,
        direction: str,
        migrations: Iterable[Migration],
        *,
        kmaddress: KmAddress | None = None,
        encap: Encapsulation | None = None,
        if_id: int = 0,
    ) -> None:
        """See ``Xfrm.migrate``."""
        message = UserPolicyId()
        message["sel"], message["dir"] = selector, number_of(POLICY_DIRECTIONS, direction)
        message["attrs"] = [("XFRMA_MIGRATE", tuple(migrations))]
        if kmaddress:
            message["attrs"].append(("XFRMA_KMADDRESS", kmaddress))
        if encap:
            message["attrs"].append(("XFRMA_ENCAP", encap))
        if if_id:
            message["attrs"].append(("XFRMA_IF_ID", if_id))
        what = f"migrating policy {direction} {selector.src} -> {selector.dst}"
        await self.request(message, MessageType.MIGRATE, _DO, what)

    async def aevent(self, command: str, record: State | None = None, **fields: Any) -> tuple[AsyncEvent, ...]:
        """See ``Xfrm.aevent``."""
        state = record or State(**fields)
        message = fill_identity(AsyncEventId(), state)
        message["saddr"] = bytes(16)
        if command == "get":
            message["flags"] = int(EventFlag.REPLAY_THRESHOLD | EventFlag.TIMER_THRESHOLD)
            answers = await self.request(message, MessageType.GETAE, _GET, f"reading counters of {state}")
            return tuple(map(async_event_of, answers))
        if command != "set":
            raise ValueError(f"{command!r} is none of get, set")
        message["flags"] = int(EventFlag.FROM_POLICY)
        wide = ("XFRMA_REPLAY_ESN_VAL", ReplayWindow(state.replay, state.replay_window))
        message["attrs"].append(wide if state.replay_window else ("XFRMA_REPLAY_VAL", state.replay))
        await self.request(message, MessageType.NEWAE, _UPDATE, f"setting counters of {state}")
        return ()

    async def sadinfo(self) -> StateDatabase:
        """See ``Xfrm.sadinfo``."""
        message = SadInfo()
        message["flags"] = 0xFFFFFFFF
        (answer,) = await self.request(message, MessageType.GETSADINFO, _GET, "asking for the size of the SAD")
        table = answer.get_attr("XFRMA_SAD_HINFO")
        return StateDatabase(answer.get_attr("XFRMA_SAD_CNT"), table["buckets"], table["max_buckets"])

    async def spdinfo(self) -> PolicyDatabase:
        """See ``Xfrm.spdinfo``."""
        message = SpdInfo()
        message["flags"] = 0xFFFFFFFF
        (answer,) = await self.request(message, MessageType.GETSPDINFO, _GET, "asking for the size of the SPD")
        counts, table = answer.get_attr("XFRMA_SPD_INFO"), answer.get_attr("XFRMA_SPD_HINFO")
        return PolicyDatabase(
            inbound=counts["in"],
            outbound=counts["out"],
            forward=counts["fwd"],
            socket_inbound=counts["socket_in"],
            socket_outbound=counts["socket_out"],
            socket_forward=counts["socket_fwd"],
            buckets=table["buckets"],
            max_buckets=table["max_buckets"],
            ipv4_threshold=_threshold(answer.get_attr("XFRMA_SPD_IPV4_HTHRESH")),
            ipv6_threshold=_threshold(answer.get_attr("XFRMA_SPD_IPV6_HTHRESH")),
        )

    async def set_thresholds(self, ipv4: tuple[int, int] | None = None, ipv6: tuple[int, int] | None = None) -> None:
        """See ``Xfrm.set_thresholds``."""
        message = SpdInfo()
        given = (("XFRMA_SPD_IPV4_HTHRESH", ipv4), ("XFRMA_SPD_IPV6_HTHRESH", ipv6))
        message["attrs"] = [(name, {"local": pair[0], "remote": pair[1]}) for name, pair in given if pair]
        await self.request(message, MessageType.NEWSPDINFO, _DO, "setting thresholds of the SPD")

    async def defaults(self, values: PolicyDefaults | None = None) -> PolicyDefaults:
        """See ``Xfrm.defaults``."""
        message = UserPolicyDefault()
        if values is not None:
            for name, word in (("in", values.inbound), ("fwd", values.forward), ("out", values.outbound)):
                message[name] = number_of(DEFAULT_ACTIONS, word)
            await self.request(message, MessageType.SETDEFAULT, _DO, "setting default policies")
            message = UserPolicyDefault()
        (answer,) = await self.request(message, MessageType.GETDEFAULT, _GET, "reading default policies")
        return PolicyDefaults(*(word_of(DEFAULT_ACTIONS, answer[name]) for name in ("in", "fwd", "out")))


def _narrowing(proto: str = "", src: str = "", dst: str = "") -> Iterator[tuple[str, Any]]:
    """Which SAs a dump is to bring."""
    if proto:
        yield "XFRMA_PROTO", number_of(PROTOCOLS, proto)
    if src or dst:
        yield "XFRMA_ADDRESS_FILTER", AddressFilter(src, dst)


def _threshold(answer: Any) -> tuple[int, int] | None:
    return (answer["local"], answer["remote"]) if answer else None


class Xfrm(NetlinkSocket):  # type: ignore[misc]
    """SAs and policies of a namespace; arguments are those of any pyroute2 socket (``netns=``, ``rcvbuf=``, ...).

    Every verb raises XfrmError with the kernel's own words when it is refused, and ValueError for
    values that cannot be sent. A namespace that is not there is an error, too: it is not made.
    """

    async_class = AsyncXfrm

    def __init__(self, *args: Any, **options: Any) -> None:
        try:
            super().__init__(*args, **{"family": NETLINK_XFRM, "ext_ack": True, "flags": 0, **options})
        except OSError as error:
            self.asyncore.close()  # its event loop is there already
            where = f" in namespace {options['netns']}" if options.get("netns") else ""
            raise XfrmError(error.errno or 0, request=f"opening a socket{where}") from error

    def state(self, command: str, record: State | None = None, **fields: Any) -> tuple[State, ...]:
        """SAs: ``add``, ``update``, ``del``, ``get``, ``dump``, ``flush``.

        ``add`` and ``update`` take a State or its fields; ``del`` and ``get`` look at dst, spi, proto, mark and
        src only; ``dump`` takes ``proto``, ``src`` and ``dst`` (prefixes), ``flush`` ``proto``. ``get`` and ``dump``
        give states, the others nothing.
        """
        found: tuple[State, ...] = self._run_with_cleanup(self.asyncore.state, command, record, **fields)
        return found

    def allocspi(self, minimum: int = 0x100, maximum: int = 0xFFFFFFFF, **fields: Any) -> int:
        """An SPI that no SA to ``dst`` has.

        ``fields`` are those of State: dst, src, proto, mode, reqid and seq matter. The kernel keeps the SPI for
        net.core.xfrm_acq_expires (30) seconds; ``state("update")`` makes it an SA.
        """
        spi: int = self._run_with_cleanup(self.asyncore.allocspi, minimum, maximum, **fields)
        return spi

    def policy(self, command: str, record: Policy | None = None, **fields: Any) -> tuple[Policy, ...]:
        """Policies: ``add``, ``update``, ``del``, ``get``, ``dump``, ``flush``.

        ``del`` and ``get`` look at selector and dir, or at index and dir, and at mark, if_id and type;
        ``flush`` takes ``type``. ``get`` and ``dump`` give policies, the others nothing.
        """
        found: tuple[Policy, ...] = self._run_with_cleanup(self.asyncore.policy, command, record, **fields)
        return found

    def migrate(
        self,
        selector: Selector,
        direction: str,
        migrations: Iterable[Migration],
        *,
        kmaddress: KmAddress | None = None,
        encap: Encapsulation | None = None,
        if_id: int = 0,
    ) -> None:
        """Move the SAs and templates of one policy to other addresses; the policy must have templates that match.

        ``direction`` is that of the policy, ``kmaddress`` is passed on to who subscribed to ``migrate``, ``encap`` is
        for SAs that get other ports. Kernels copy the sequence number before the policy leads to the new SA, so that
        numbers may be used twice under traffic.
        """
        self._run_with_cleanup(
            self.asyncore.migrate, selector, direction, migrations, kmaddress=kmaddress, encap=encap, if_id=if_id
        )

    def aevent(self, command: str, record: State | None = None, **fields: Any) -> tuple[AsyncEvent, ...]:
        """Counters of an SA: ``get`` them, or ``set`` those of ``replay`` (with ``replay_window`` for a wide one)."""
        events: tuple[AsyncEvent, ...] = self._run_with_cleanup(self.asyncore.aevent, command, record, **fields)
        return events

    def sadinfo(self) -> StateDatabase:
        """Size of the SAD."""
        size: StateDatabase = self._run_with_cleanup(self.asyncore.sadinfo)
        return size

    def spdinfo(self) -> PolicyDatabase:
        """Size of the SPD."""
        size: PolicyDatabase = self._run_with_cleanup(self.asyncore.spdinfo)
        return size

    def set_thresholds(self, ipv4: tuple[int, int] | None = None, ipv6: tuple[int, int] | None = None) -> None:
        """Lengths in bits, of local and remote prefix, from which on policies are found by hash; None leaves them."""
        self._run_with_cleanup(self.asyncore.set_thresholds, ipv4, ipv6)

    def defaults(self, values: PolicyDefaults | None = None) -> PolicyDefaults:
        """What happens to traffic without a policy, after setting it to ``values`` if given."""
        now: PolicyDefaults = self._run_with_cleanup(self.asyncore.defaults, values)
        return now

    def events(self, *groups: str) -> XfrmEvents:
        """A subscription with a socket of its own, in the same namespace; close it, or use it in a ``with`` block.

        Groups: ``acquire``, ``expire``, ``sa``, ``policy``, ``aevents``, ``report``, ``migrate``, ``mapping``.
        """
        return XfrmEvents(*groups, netns=self.asyncore.spec["netns"])
