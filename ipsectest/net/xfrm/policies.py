"""Policies as records, and as the messages that carry them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ipsectest.net.xfrm.constants import (
    POLICY_ACTIONS,
    POLICY_DIRECTIONS,
    POLICY_TYPES,
    SHARES,
    PolicyFlag,
    number_of,
    word_of,
)
from ipsectest.net.xfrm.messages import UserPolicyId, UserPolicyInfo, XfrmMessage
from ipsectest.net.xfrm.records import Lifetimes, Mark, Offload, SecurityContext, Selector, Template, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One line of the SPD, as ``ip xfrm policy`` shows it; the one with the lowest ``priority`` wins.

    Equality leaves out what the kernel counts and numbers: ``current``, ``last_used``, ``index``.
    """

    selector: Selector
    dir: str
    """``in``, ``out`` or ``fwd``."""
    action: str = "allow"
    """``allow`` (protected if there are templates, else passed) or ``block``."""
    priority: int = 0
    templates: tuple[Template, ...] = ()
    """The SAs that a packet must go through, innermost first; at most 6."""
    flags: PolicyFlag = field(default=PolicyFlag(0))
    limits: Lifetimes = field(default=Lifetimes())
    mark: tuple[int, int] | None = None
    if_id: int = 0
    offload: tuple[int, int] | None = None
    security_context: SecurityContext | None = None
    type: str = "main"
    """``main`` or ``sub``."""
    share: str = "any"
    index: int = field(default=0, compare=False)
    """The kernel's own number; names a policy instead of its selector where it is not 0."""
    current: Usage = field(default=Usage(), compare=False)
    last_used: int = field(default=0, compare=False)

    def __str__(self) -> str:
        """``policy out 198.51.100.0/24 -> 203.0.113.0/24``."""
        return f"policy {self.dir} {self.selector.src} -> {self.selector.dst}"


@dataclass(frozen=True, slots=True)
class PolicyDatabase:
    """Number of policies and sizes of the kernel's hash table; ``socket_*`` are those of single sockets."""

    inbound: int
    outbound: int
    forward: int
    socket_inbound: int
    socket_outbound: int
    socket_forward: int
    buckets: int
    max_buckets: int
    ipv4_threshold: tuple[int, int] | None = None
    """Lengths in bits, of local and remote prefix, from which on policies are found by hash."""
    ipv6_threshold: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class PolicyDefaults:
    """What happens to traffic without a policy: ``accept`` or ``block`` (``unspec`` leaves it as it is)."""

    inbound: str = "unspec"
    forward: str = "unspec"
    outbound: str = "unspec"


def _attributes(policy: Policy) -> Iterator[tuple[str, Any]]:
    if policy.templates:
        family = policy.selector.family
        yield "XFRMA_TMPL", tuple(t if t.family or t.dst else replace(t, family=family) for t in policy.templates)
    if policy.offload:
        yield "XFRMA_OFFLOAD_DEV", Offload(*policy.offload)  # type: ignore[arg-type]  # any number may be sent
    yield from _identity(policy)


def _identity(policy: Policy) -> Iterator[tuple[str, Any]]:
    if policy.type != "main":
        yield "XFRMA_POLICY_TYPE", number_of(POLICY_TYPES, policy.type)
    if policy.security_context:
        yield "XFRMA_SEC_CTX", policy.security_context
    if policy.mark:
        yield "XFRMA_MARK", Mark(*policy.mark)
    if policy.if_id:
        yield "XFRMA_IF_ID", policy.if_id


def policy_message(policy: Policy) -> UserPolicyInfo:
    """For NEWPOLICY and UPDPOLICY. Raises ValueError for values that do not fit."""
    message = UserPolicyInfo()
    message["sel"] = policy.selector
    message["lft"] = policy.limits
    message["curlft"] = policy.current
    message["priority"] = policy.priority
    message["index"] = policy.index
    message["dir"] = number_of(POLICY_DIRECTIONS, policy.dir)
    message["action"] = number_of(POLICY_ACTIONS, policy.action)
    message["flags"] = int(policy.flags)
    message["share"] = number_of(SHARES, policy.share)
    message["attrs"] = list(_attributes(policy))
    return message


def policy_identity_message(policy: Policy) -> UserPolicyId:
    """For GETPOLICY and DELPOLICY: by index where it is known, else by selector."""
    message = UserPolicyId()
    message["sel"] = policy.selector
    message["index"] = policy.index
    message["dir"] = number_of(POLICY_DIRECTIONS, policy.dir)
    message["attrs"] = list(_identity(policy))
    return message


def policy_of(message: XfrmMessage) -> Policy:
    """The policy of a message that begins with an xfrm_userpolicy_info."""
    attribute = message.get_attr
    return Policy(
        **policy_fields(message),
        templates=attribute("XFRMA_TMPL") or (),
        mark=attribute("XFRMA_MARK"),
        if_id=attribute("XFRMA_IF_ID") or 0,
        offload=attribute("XFRMA_OFFLOAD_DEV"),
        security_context=attribute("XFRMA_SEC_CTX"),
        type=word_of(POLICY_TYPES, policy_type(message)),
        last_used=attribute("XFRMA_LASTUSED") or 0,
    )


def policy_type(message: XfrmMessage) -> int:
    """Of the attribute; main where there is none."""
    return message.get_attr("XFRMA_POLICY_TYPE") or 0


def policy_fields(message: XfrmMessage, prefix: str = "") -> dict[str, Any]:
    """The fixed part of a policy, which other messages have within."""
    return {
        "selector": message[prefix + "sel"],
        "dir": word_of(POLICY_DIRECTIONS, message[prefix + "dir"]),
        "action": word_of(POLICY_ACTIONS, message[prefix + "action"]),
        "priority": message[prefix + "priority"],
        "flags": PolicyFlag(message[prefix + "flags"]),
        "limits": message[prefix + "lft"],
        "share": word_of(SHARES, message[prefix + "share"]),
        "index": message[prefix + "index"],
        "current": message[prefix + "curlft"],
    }
