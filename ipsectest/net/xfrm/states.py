"""SAs as records, and as the messages that carry them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ipsectest.net.xfrm.addresses import family_of, pack_address, pack_spi, unpack_address
from ipsectest.net.xfrm.constants import (
    MODES,
    PROTOCOLS,
    STATE_DIRECTIONS,
    ExtraFlag,
    StateFlag,
    number_of,
    word_of,
)
from ipsectest.net.xfrm.iptfs import Iptfs, iptfs_attributes, iptfs_of
from ipsectest.net.xfrm.messages import UserSaId, UserSaInfo, XfrmMessage
from ipsectest.net.xfrm.records import (
    Aead,
    Algorithm,
    Authentication,
    Encapsulation,
    Lifetimes,
    Mark,
    Offload,
    Replay,
    ReplayWindow,
    SecurityContext,
    Selector,
    Statistics,
    Usage,
)

_LEGACY_WINDOW = 32
"""Packets in the bitmap of xfrm_replay_state; larger windows and ESN need xfrm_replay_state_esn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One SA of one direction, as ``ip xfrm state`` shows it.

    Equality leaves out what the kernel counts: ``replay``, ``current``, ``statistics``, ``last_used``.
    """

    src: str = ""
    """Outer source address."""
    dst: str
    """Outer destination address; its family is that of the SA."""
    spi: int = 0
    proto: str = "esp"
    mode: str = "transport"
    reqid: int = 0
    """Ties the SA to the templates of policies; 0: to all."""
    seq: int = 0
    """Of the ACQUIRE that the SA answers."""
    selector: Selector = field(default=Selector())
    """Traffic the SA may carry; the kernel fills in any traffic of its family for tunnels without one."""
    aead: tuple[str, bytes, int] | None = None
    """Name of the kernel, key with salt, ICV in bits."""
    crypt: tuple[str, bytes] | None = None
    auth: tuple[str, bytes, int] | None = None
    """Name of the kernel, key, ICV in bits (0: what the kernel takes for it)."""
    comp: tuple[str, bytes] | None = None
    encap: tuple[str, int, int, str] | tuple[str, int, int] | None = None
    """Kind (``espinudp``), source port, destination port, original address if known."""
    esn: bool = False
    replay_window: int = 0
    """Packets; 0 turns anti-replay off. Linux wants at least 1 for an inbound SA with ESN."""
    flags: StateFlag = field(default=StateFlag(0))
    extra_flags: ExtraFlag = field(default=ExtraFlag(0))
    limits: Lifetimes = field(default=Lifetimes())
    mark: tuple[int, int] | None = None
    """Value and mask: the SA is found only by packets with this mark."""
    output_mark: tuple[int, int] | None = None
    """Set on packets that the SA has processed."""
    if_id: int = 0
    """Of an xfrm interface."""
    offload: tuple[int, int] | None = None
    """Interface index and ``OffloadFlag``."""
    security_context: SecurityContext | None = None
    care_of: str = ""
    """Mobile IPv6 care-of address."""
    tfc_padding: int = 0
    """Tunnelled packets are padded to this many octets (RFC 4303 section 2.7)."""
    dir: str = ""
    """``in`` or ``out``: lets Linux 6.10 check what does not belong to one."""
    mapping_threshold: int = 0
    """Seconds between two MAPPING events."""
    keepalive: int = 0
    """Seconds between NAT keepalives that the kernel sends (Linux 6.11)."""
    cpu: int | None = None
    """The SA's own CPU (RFC 9611, Linux 6.13)."""
    iptfs: Iptfs | None = None
    """Of mode ``iptfs`` (RFC 9347, Linux 6.14)."""
    replay: Replay = field(default=Replay(), compare=False)
    current: Usage = field(default=Usage(), compare=False)
    statistics: Statistics = field(default=Statistics(), compare=False)
    last_used: int = field(default=0, compare=False)
    """Seconds since 1970; only for protocols of Mobile IPv6."""

    def __str__(self) -> str:
        """``state 192.0.2.1 esp 0x00001001``."""
        return f"state {self.dst} {self.proto} {self.spi:#010x}"

    @property
    def family(self) -> int:
        """AF_INET or AF_INET6. Raises ValueError for what is no address."""
        return family_of(self.dst)


@dataclass(frozen=True, slots=True)
class StateDatabase:
    """Size of the kernel's SAD and of its hash table."""

    states: int
    buckets: int
    max_buckets: int


def fill_state(message: Any, state: State) -> Any:
    """Put an SA into a message that begins with an xfrm_usersa_info. Raises ValueError for values that do not fit."""
    wide = state.esn or state.replay_window > _LEGACY_WINDOW
    message["sel"] = state.selector
    message["daddr"] = pack_address(state.dst)
    message["spi"] = int.from_bytes(pack_spi(state.spi), "big")
    message["proto"] = number_of(PROTOCOLS, state.proto)
    message["saddr"] = pack_address(state.src)
    message["lft"] = state.limits
    message["curlft"] = state.current
    message["seq"] = state.seq
    message["reqid"] = state.reqid
    message["family"] = state.family
    message["mode"] = number_of(MODES, state.mode)
    message["replay_window"] = 0 if wide else state.replay_window
    message["flags"] = int(state.flags | (StateFlag.ESN if state.esn else 0))
    message["attrs"] = [
        *_algorithms(state),
        *_replay(state, wide=wide),
        *_marks(state.mark, state.if_id),
        *_more(state),
    ]
    return message


def _algorithms(state: State) -> Iterator[tuple[str, Any]]:
    if state.aead:
        yield "XFRMA_ALG_AEAD", Aead(*state.aead)
    if state.crypt:
        yield "XFRMA_ALG_CRYPT", Algorithm(*state.crypt)
    if state.auth:
        auth = Authentication(*state.auth)
        if auth.icv_bits:
            yield "XFRMA_ALG_AUTH_TRUNC", auth
        else:
            yield "XFRMA_ALG_AUTH", Algorithm(auth.name, auth.key)
    if state.comp:
        yield "XFRMA_ALG_COMP", Algorithm(*state.comp)


def _replay(state: State, *, wide: bool) -> Iterator[tuple[str, Any]]:
    if wide:
        yield "XFRMA_REPLAY_ESN_VAL", ReplayWindow(state.replay, state.replay_window)
    elif state.replay != Replay():
        yield "XFRMA_REPLAY_VAL", state.replay


def _marks(mark: tuple[int, int] | None, if_id: int) -> Iterator[tuple[str, Any]]:
    if mark:
        yield "XFRMA_MARK", Mark(*mark)
    if if_id:
        yield "XFRMA_IF_ID", if_id


def _more(state: State) -> Iterator[tuple[str, Any]]:
    if state.encap:
        yield "XFRMA_ENCAP", Encapsulation(*state.encap)
    if state.output_mark:
        yield "XFRMA_SET_MARK", state.output_mark[0]
        yield "XFRMA_SET_MARK_MASK", state.output_mark[1]
    if state.offload:
        yield "XFRMA_OFFLOAD_DEV", Offload(*state.offload)  # type: ignore[arg-type]  # any number may be sent
    if state.care_of:
        yield "XFRMA_COADDR", pack_address(state.care_of)
    if state.cpu is not None:
        yield "XFRMA_SA_PCPU", state.cpu
    if state.iptfs:
        yield from iptfs_attributes(state.iptfs)
    optional = {
        "XFRMA_SA_EXTRA_FLAGS": int(state.extra_flags),
        "XFRMA_SEC_CTX": state.security_context,
        "XFRMA_TFCPAD": state.tfc_padding,
        "XFRMA_MTIMER_THRESH": state.mapping_threshold,
        "XFRMA_SA_DIR": number_of(STATE_DIRECTIONS, state.dir),
        "XFRMA_NAT_KEEPALIVE_INTERVAL": state.keepalive,
    }
    yield from ((name, value) for name, value in optional.items() if value)


def fill_identity(message: Any, state: State) -> Any:
    """Put what names an SA into a message that begins with an xfrm_usersa_id."""
    message["daddr"] = pack_address(state.dst)
    message["spi"] = int.from_bytes(pack_spi(state.spi), "big")
    message["family"] = state.family
    message["proto"] = number_of(PROTOCOLS, state.proto)
    message["attrs"] = list(_marks(state.mark, state.if_id))
    if state.src:  # Mobile IPv6 headers have no SPI
        message["attrs"].append(("XFRMA_SRCADDR", pack_address(state.src)))
    return message


def identity_message(state: State) -> UserSaId:
    """For GETSA and DELSA."""
    message: UserSaId = fill_identity(UserSaId(), state)
    return message


def state_message(state: State) -> UserSaInfo:
    """For NEWSA and UPDSA."""
    message: UserSaInfo = fill_state(UserSaInfo(), state)
    return message


def state_of(message: XfrmMessage) -> State:
    """The SA of a message that begins with an xfrm_usersa_info."""
    attribute = message.get_attr
    family = message["family"]
    window: ReplayWindow | None = attribute("XFRMA_REPLAY_ESN_VAL")
    auth: Authentication | None = attribute("XFRMA_ALG_AUTH_TRUNC")
    untruncated: Algorithm | None = attribute("XFRMA_ALG_AUTH")
    if auth is None and untruncated is not None:
        auth = Authentication(*untruncated)
    output_mark = attribute("XFRMA_SET_MARK")
    flags = StateFlag(message["flags"])
    return State(
        src=unpack_address(message["saddr"], family),
        dst=unpack_address(message["daddr"], family),
        spi=message["spi"],
        proto=word_of(PROTOCOLS, message["proto"]),
        mode=word_of(MODES, message["mode"]),
        reqid=message["reqid"],
        seq=message["seq"],
        selector=message["sel"],
        aead=attribute("XFRMA_ALG_AEAD"),
        crypt=attribute("XFRMA_ALG_CRYPT"),
        auth=auth,
        comp=attribute("XFRMA_ALG_COMP"),
        encap=attribute("XFRMA_ENCAP"),
        esn=StateFlag.ESN in flags,
        replay_window=window.window if window else message["replay_window"],
        flags=flags & ~StateFlag.ESN,
        extra_flags=ExtraFlag(attribute("XFRMA_SA_EXTRA_FLAGS") or 0),
        limits=message["lft"],
        mark=attribute("XFRMA_MARK"),
        output_mark=None if output_mark is None else (output_mark, attribute("XFRMA_SET_MARK_MASK") or 0),
        if_id=attribute("XFRMA_IF_ID") or 0,
        offload=attribute("XFRMA_OFFLOAD_DEV"),
        security_context=attribute("XFRMA_SEC_CTX"),
        care_of=unpack_address(attribute("XFRMA_COADDR") or b"", family if attribute("XFRMA_COADDR") else 0),
        tfc_padding=attribute("XFRMA_TFCPAD") or 0,
        dir=word_of(STATE_DIRECTIONS, attribute("XFRMA_SA_DIR") or 0),
        mapping_threshold=attribute("XFRMA_MTIMER_THRESH") or 0,
        keepalive=attribute("XFRMA_NAT_KEEPALIVE_INTERVAL") or 0,
        cpu=attribute("XFRMA_SA_PCPU"),
        iptfs=iptfs_of(attribute),
        replay=window.state if window else attribute("XFRMA_REPLAY_VAL") or Replay(),
        current=message["curlft"],
        statistics=message["stats"],
        last_used=attribute("XFRMA_LASTUSED") or 0,
    )
