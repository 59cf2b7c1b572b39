"""The netlink messages of XFRM as pyroute2 classes.

Fixed parts are the structures of linux/xfrm.h, field by field; attributes that are structures come and go as the
values of ``records``. Structures within others keep their field names behind a prefix (``policy_action``).
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pyroute2.netlink import nla, nla_string, nlmsg
from pyroute2.netlink.marshal import Marshal

from ipsectest.net.xfrm.constants import MessageType
from ipsectest.net.xfrm.filters import AddressFilter
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
    ReplayWindow,
    SecurityContext,
    Selector,
    Statistics,
    Template,
    Usage,
)

Fields = tuple[tuple[str, Any], ...]


class _Record(nla_string):  # type: ignore[misc]  # pyroute2 has no types
    """An attribute whose value is one of ``records``."""

    RECORD: ClassVar[Any]

    def encode(self) -> None:
        """The octets of the value."""
        self["value"] = self.pack_value(self.value)
        super().encode()

    def decode(self) -> None:
        """The value of the octets; None, as if there were no attribute, where they are too few for one."""
        try:
            super().decode()
            self.value = self.unpack_value(self["value"])
        except (struct.error, ValueError):
            self.value = None

    def pack_value(self, value: Any) -> bytes:
        """One record; plain tuples are taken for a record's fields."""
        record = value if isinstance(value, self.RECORD) else self.RECORD(*value)
        packed: bytes = record.pack()
        return packed

    def unpack_value(self, octets: bytes) -> Any:
        """One record."""
        return self.RECORD.unpack(octets)


class _Records(_Record):
    """An attribute with any number of structures, which pyroute2's own arrays cannot have."""

    def pack_value(self, value: Any) -> bytes:
        """One after the other."""
        return b"".join(_Record.pack_value(self, record) for record in value)

    def unpack_value(self, octets: bytes) -> Any:
        """A tuple; what is left over at the end is ignored."""
        size = self.RECORD.LAYOUT.size
        return tuple(self.RECORD.unpack(octets[at : at + size]) for at in range(0, len(octets) - size + 1, size))


class _Number(_Record):
    """A number; pyroute2's own takes the octets behind an attribute that is too short."""

    LAYOUT: ClassVar[struct.Struct]

    def pack_value(self, value: Any) -> bytes:
        """In host order."""
        return self.LAYOUT.pack(value)

    def unpack_value(self, octets: bytes) -> Any:
        """In host order."""
        return self.LAYOUT.unpack_from(octets)[0]


class XfrmMessage(nlmsg):  # type: ignore[misc]
    """A message without fixed part, which may have attributes: dumps and FLUSHPOLICY."""

    prefix = "XFRMA_"
    fields: Fields = ()
    nla_map = (
        (1, "XFRMA_ALG_AUTH", "Algorithm"),
        (2, "XFRMA_ALG_CRYPT", "Algorithm"),
        (3, "XFRMA_ALG_COMP", "Algorithm"),
        (4, "XFRMA_ENCAP", "Encapsulation"),
        (5, "XFRMA_TMPL", "Templates"),
        (6, "XFRMA_SA", "cdata"),
        (7, "XFRMA_POLICY", "cdata"),
        (8, "XFRMA_SEC_CTX", "SecurityContext"),
        (9, "XFRMA_LTIME_VAL", "Usage"),
        (10, "XFRMA_REPLAY_VAL", "Replay"),
        (11, "XFRMA_REPLAY_THRESH", "U32"),
        (12, "XFRMA_ETIMER_THRESH", "U32"),
        (13, "XFRMA_SRCADDR", "cdata"),
        (14, "XFRMA_COADDR", "cdata"),
        (15, "XFRMA_LASTUSED", "U64"),
        (16, "XFRMA_POLICY_TYPE", "PolicyType"),
        (17, "XFRMA_MIGRATE", "Migrations"),
        (18, "XFRMA_ALG_AEAD", "Aead"),
        (19, "XFRMA_KMADDRESS", "KmAddress"),
        (20, "XFRMA_ALG_AUTH_TRUNC", "Authentication"),
        (21, "XFRMA_MARK", "Mark"),
        (22, "XFRMA_TFCPAD", "U32"),
        (23, "XFRMA_REPLAY_ESN_VAL", "ReplayWindow"),
        (24, "XFRMA_SA_EXTRA_FLAGS", "U32"),
        (25, "XFRMA_PROTO", "U8"),
        (26, "XFRMA_ADDRESS_FILTER", "Filter"),
        (27, "XFRMA_PAD", "cdata"),
        (28, "XFRMA_OFFLOAD_DEV", "Offload"),
        (29, "XFRMA_SET_MARK", "U32"),
        (30, "XFRMA_SET_MARK_MASK", "U32"),
        (31, "XFRMA_IF_ID", "U32"),
        (32, "XFRMA_MTIMER_THRESH", "U32"),
        (33, "XFRMA_SA_DIR", "U8"),
        (34, "XFRMA_NAT_KEEPALIVE_INTERVAL", "U32"),
        (35, "XFRMA_SA_PCPU", "U32"),
        (36, "XFRMA_IPTFS_DROP_TIME", "U32"),
        (37, "XFRMA_IPTFS_REORDER_WINDOW", "U16"),
        (38, "XFRMA_IPTFS_DONT_FRAG", "cdata"),
        (39, "XFRMA_IPTFS_INIT_DELAY", "U32"),
        (40, "XFRMA_IPTFS_MAX_QSIZE", "U32"),
        (41, "XFRMA_IPTFS_PKT_SIZE", "U32"),
    )

    class Algorithm(_Record):
        """xfrm_algo."""

        RECORD = Algorithm

    class Authentication(_Record):
        """xfrm_algo_auth."""

        RECORD = Authentication

    class Aead(_Record):
        """xfrm_algo_aead."""

        RECORD = Aead

    class Encapsulation(_Record):
        """xfrm_encap_tmpl."""

        RECORD = Encapsulation

    class Templates(_Records):
        """xfrm_user_tmpl, up to 6 of them."""

        RECORD = Template

    class SecurityContext(_Record):
        """xfrm_user_sec_ctx."""

        RECORD = SecurityContext

    class Usage(_Record):
        """xfrm_lifetime_cur."""

        RECORD = Usage

    class Replay(_Record):
        """xfrm_replay_state."""

        RECORD = Replay

    class ReplayWindow(_Record):
        """xfrm_replay_state_esn."""

        RECORD = ReplayWindow

    class Migrations(_Records):
        """xfrm_user_migrate, one for each template that moves."""

        RECORD = Migration

    class KmAddress(_Record):
        """xfrm_user_kmaddress."""

        RECORD = KmAddress

    class Mark(_Record):
        """xfrm_mark."""

        RECORD = Mark

    class Offload(_Record):
        """xfrm_user_offload."""

        RECORD = Offload

    class Filter(_Record):
        """xfrm_address_filter."""

        RECORD = AddressFilter

    class U8(_Number):
        """__u8."""

        LAYOUT = struct.Struct("=B")

    class U16(_Number):
        """__u16."""

        LAYOUT = struct.Struct("=H")

    class U32(_Number):
        """__u32."""

        LAYOUT = struct.Struct("=I")

    class U64(_Number):
        """__u64."""

        LAYOUT = struct.Struct("=Q")

    class PolicyType(_Number):
        """xfrm_userpolicy_type, of which only the type means something."""

        LAYOUT = struct.Struct("=B5x")


def prefixed(prefix: str, structure: Fields) -> Fields:
    """The fields of a structure within another one."""
    return tuple((prefix + name, layout) for name, layout in structure)


STATE_FIELDS: Fields = (
    ("sel", Selector),
    ("daddr", "16s"), ("spi", "!I"), ("proto", "B"), ("_id_padding", "3x"),
    ("saddr", "16s"), ("lft", Lifetimes), ("curlft", Usage), ("stats", Statistics),
    ("seq", "I"), ("reqid", "I"), ("family", "H"), ("mode", "B"), ("replay_window", "B"), ("flags", "B"),
    ("_padding", "7x"),
)  # fmt: skip
STATE_ID_FIELDS: Fields = (("daddr", "16s"), ("spi", "!I"), ("family", "H"), ("proto", "B"), ("_padding", "x"))
POLICY_FIELDS: Fields = (
    ("sel", Selector), ("lft", Lifetimes), ("curlft", Usage),
    ("priority", "I"), ("index", "I"), ("dir", "B"), ("action", "B"), ("flags", "B"), ("share", "B"),
    ("_padding", "4x"),
)  # fmt: skip


class UserSaInfo(XfrmMessage):
    """xfrm_usersa_info: NEWSA, UPDSA and what GETSA brings."""

    fields = STATE_FIELDS


class UserSaId(XfrmMessage):
    """xfrm_usersa_id: GETSA. A DELSA of the kernel has the same, and the whole SA as XFRMA_SA."""

    fields = STATE_ID_FIELDS


class UserSpiInfo(XfrmMessage):
    """xfrm_userspi_info: ALLOCSPI."""

    fields = (*STATE_FIELDS, ("min", "I"), ("max", "I"))


class UserPolicyInfo(XfrmMessage):
    """xfrm_userpolicy_info: NEWPOLICY, UPDPOLICY and what GETPOLICY brings."""

    fields = POLICY_FIELDS


class UserPolicyId(XfrmMessage):
    """xfrm_userpolicy_id: GETPOLICY, DELPOLICY, MIGRATE."""

    fields = (("sel", Selector), ("index", "I"), ("dir", "B"), ("_padding", "3x"))


class UserAcquire(XfrmMessage):
    """xfrm_user_acquire: the SA that is missing, the packet's flow, the policy that asks."""

    fields = (
        ("daddr", "16s"), ("spi", "!I"), ("proto", "B"), ("_id_padding", "3x"), ("saddr", "16s"), ("sel", Selector),
        *prefixed("policy_", POLICY_FIELDS),
        ("aalgos", "I"), ("ealgos", "I"), ("calgos", "I"), ("seq", "I"),
    )  # fmt: skip


class UserExpire(XfrmMessage):
    """xfrm_user_expire."""

    fields = (*STATE_FIELDS, ("hard", "B"), ("_tail", "7x"))


class UserPolicyExpire(XfrmMessage):
    """xfrm_user_polexpire."""

    fields = (*POLICY_FIELDS, ("hard", "B"), ("_tail", "7x"))


class AsyncEventId(XfrmMessage):
    """xfrm_aevent_id: NEWAE, GETAE."""

    fields = (*STATE_ID_FIELDS, ("saddr", "16s"), ("flags", "I"), ("reqid", "I"))


class UserReport(XfrmMessage):
    """xfrm_user_report."""

    fields = (("proto", "B"), ("_proto_padding", "3x"), ("sel", Selector))


class UserMapping(XfrmMessage):
    """xfrm_user_mapping: a peer's address or port behind a NAT has changed."""

    fields = (
        *STATE_ID_FIELDS, ("reqid", "I"),
        ("old_saddr", "16s"), ("new_saddr", "16s"), ("old_sport", "!H"), ("new_sport", "!H"),
    )  # fmt: skip


class UserSaFlush(nlmsg):  # type: ignore[misc]
    """xfrm_usersa_flush, the one structure without attributes behind it."""

    fields = (("proto", "B"),)


class UserPolicyDefault(XfrmMessage):
    """xfrm_userpolicy_default."""

    fields = (("in", "B"), ("fwd", "B"), ("out", "B"), ("_padding", "x"))


class SadInfo(nlmsg):  # type: ignore[misc]
    """NEWSADINFO: the flags asked with, and the numbers."""

    class Hash(nla):  # type: ignore[misc]
        """xfrmu_sadhinfo and xfrmu_spdhinfo."""

        fields = (("buckets", "I"), ("max_buckets", "I"))

    prefix = "XFRMA_"
    fields = (("flags", "I"),)
    nla_map = ((1, "XFRMA_SAD_CNT", "uint32"), (2, "XFRMA_SAD_HINFO", "Hash"))


class SpdInfo(nlmsg):  # type: ignore[misc]
    """NEWSPDINFO."""

    class Counts(nla):  # type: ignore[misc]
        """xfrmu_spdinfo."""

        fields = (("in", "I"), ("out", "I"), ("fwd", "I"), ("socket_in", "I"), ("socket_out", "I"), ("socket_fwd", "I"))

    class Threshold(nla):  # type: ignore[misc]
        """xfrmu_spdhthresh: prefix lengths from which policies are hashed."""

        fields = (("local", "B"), ("remote", "B"))

    Hash = SadInfo.Hash
    prefix = "XFRMA_"
    fields = (("flags", "I"),)
    nla_map = (
        (1, "XFRMA_SPD_INFO", "Counts"),
        (2, "XFRMA_SPD_HINFO", "Hash"),
        (3, "XFRMA_SPD_IPV4_HTHRESH", "Threshold"),
        (4, "XFRMA_SPD_IPV6_HTHRESH", "Threshold"),
    )


MESSAGES: Mapping[int, Callable[..., Any]] = {
    MessageType.NEWSA: UserSaInfo,
    MessageType.DELSA: UserSaId,
    MessageType.GETSA: UserSaId,
    MessageType.UPDSA: UserSaInfo,
    MessageType.FLUSHSA: UserSaFlush,
    MessageType.ALLOCSPI: UserSpiInfo,
    MessageType.NEWPOLICY: UserPolicyInfo,
    MessageType.DELPOLICY: UserPolicyId,
    MessageType.GETPOLICY: UserPolicyId,
    MessageType.UPDPOLICY: UserPolicyInfo,
    MessageType.FLUSHPOLICY: XfrmMessage,
    MessageType.ACQUIRE: UserAcquire,
    MessageType.EXPIRE: UserExpire,
    MessageType.POLEXPIRE: UserPolicyExpire,
    MessageType.NEWAE: AsyncEventId,
    MessageType.GETAE: AsyncEventId,
    MessageType.REPORT: UserReport,
    MessageType.MIGRATE: UserPolicyId,
    MessageType.NEWSADINFO: SadInfo,
    MessageType.GETSADINFO: SadInfo,
    MessageType.NEWSPDINFO: SpdInfo,
    MessageType.GETSPDINFO: SpdInfo,
    MessageType.MAPPING: UserMapping,
    MessageType.SETDEFAULT: UserPolicyDefault,
    MessageType.GETDEFAULT: UserPolicyDefault,
}


class MarshalXfrm(Marshal):  # type: ignore[misc]
    """Finds the class of a message by its type."""

    msg_map: ClassVar[dict[int, Callable[..., Any]]] = dict(MESSAGES)
