"""Requests that cross our own: who has to wait, and which of two SAs stays (RFC 7296 sections 2.8 and 2.25)."""

from ipsectest.base.iana import NotifyType
from ipsectest.ike.checks import Check
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import ChildSa, ChildState, IkeSa
from ipsectest.ike.tasks import CreateChild, DeleteChildren, RekeyChild
from ipsectest.wire import Notify

TEMPORARY_FAILURE = NotifyType.TEMPORARY_FAILURE
_CHILD_TASKS = (CreateChild, RekeyChild, DeleteChildren)


def refuse_ike_rekey(outstanding: list[object], policy: Policy) -> Notify | None:
    """An IKE SA is not rekeyed while we create, rekey or close a Child SA of it (RFC 7296 section 2.25.1)."""
    busy = any(isinstance(task, _CHILD_TASKS) for task in outstanding)
    return Notify(TEMPORARY_FAILURE) if busy and policy.checks(Check.CONFLICTS) else None


def refuse_child_rekey(child: ChildSa, policy: Policy) -> Notify | None:
    """A Child SA that we close, or have replaced already, is not rekeyed (RFC 7296 section 2.25.1)."""
    closing = child.state in {ChildState.DELETING, ChildState.REKEYED}
    checked = policy.checks(Check.CONFLICTS) and policy.checks(Check.CLOSING_CHILD)
    return Notify(TEMPORARY_FAILURE) if closing and checked else None


def is_creating(sa: IkeSa) -> bool:
    """Whether the response to a request of ours may bring a Child SA that the peer knows already."""
    return any(isinstance(task, CreateChild | RekeyChild) for task in sa.outstanding)


def rival_of(child: ChildSa, sa: IkeSa) -> ChildSa | None:
    """The SA that the peer's crossing rekey made of the same one that ``child``, made by us, replaces."""
    for other in sa.children.values():
        if other is not child and other.replaces is child.replaces and other.is_initiator != child.is_initiator:
            return other
    return None


def child_to_delete(made: ChildSa, sa: IkeSa, policy: Policy) -> ChildSa | None:
    """What we, having rekeyed, have to delete: the old SA, or our own new one if it lost (RFC 7296 section 2.8.1)."""
    rival = rival_of(made, sa)
    if rival is None or policy.keeps_own(made.nonces, rival.nonces):
        return made.replaces
    return made
