"""INFORMATIONAL (RFC 7296 sections 1.4, 1.5 and 2.4): deletes, notifies, and the empty message that asks for life."""

from ipsectest.base.iana import NotifyType, ProtocolId
from ipsectest.ike import collisions, messages
from ipsectest.ike.checks import Check
from ipsectest.ike.context import Context, Outcome, Verdict
from ipsectest.ike.ike_auth import read_window
from ipsectest.ike.sa import ChildState, IkeSa, is_ipsec
from ipsectest.ike.tasks import DeleteChildren, DeleteIke, Inform
from ipsectest.wire import Delete, Message, Notify, Payload

MAX_DELETED_EARLY = 64


def compose_request(sa: IkeSa, ctx: Context) -> list[Payload]:
    """What ``ctx.task`` is: Delete payloads, other payloads, or nothing (liveness). Marks children as being deleted."""
    del sa
    if isinstance(ctx.task, DeleteIke):
        return [Delete(ProtocolId.IKE)]
    if isinstance(ctx.task, Inform):
        return list(ctx.task.payloads)
    if not isinstance(ctx.task, DeleteChildren):
        return []
    for child in ctx.task.children:
        child.state = ChildState.DELETING
    return _deletes([(child.protocol, child.spi_in) for child in ctx.task.children])


def _deletes(named: list[tuple[int, bytes]]) -> list[Payload]:
    """One Delete for each protocol, with our inbound SPIs (RFC 7296 section 3.11)."""
    spis: dict[int, list[bytes]] = {}
    for protocol, spi in named:
        spis.setdefault(protocol, []).append(spi)
    return [Delete(protocol, of_protocol) for protocol, of_protocol in spis.items()]


def read_request(sa: IkeSa, message: Message, ctx: Context) -> Verdict:
    """Responder: closes what the peer deletes and reports what it tells."""
    if (notify := messages.fault(sa, message, ctx)) is not None:
        fatal = notify.notify_type == NotifyType.INVALID_SYNTAX
        return Verdict(Outcome.FATAL if fatal else Outcome.REFUSED, notify, "malformed INFORMATIONAL request")
    read_window(sa, message)
    verdict = _read_deletes(sa, message, ctx)
    verdict.notifies = tuple(n for n in message.all(Notify) if n.notify_type != NotifyType.SET_WINDOW_SIZE)
    return verdict


def _read_deletes(sa: IkeSa, message: Message, ctx: Context) -> Verdict:
    verdict, deleted, paired = Verdict(), [], []
    for delete in message.all(Delete):
        if delete.protocol == ProtocolId.IKE:
            verdict.deletes_ike = True
        for spi in delete.spis if is_ipsec(delete.protocol) else ():
            child = sa.child_by_peer_spi(delete.protocol, spi)
            if child is None and not ctx.policy.checks(Check.SPI_DIRECTION):
                child = sa.children.get(spi)
            if child is None and collisions.is_creating(sa) and len(sa.deleted_early) < MAX_DELETED_EARLY:
                sa.deleted_early.add((delete.protocol, spi))
            if child is None or child in deleted:
                continue
            # If both ends delete it at once, neither response repeats the Delete (RFC 7296 section 1.4.1).
            if child.state is not ChildState.DELETING:
                paired.append(child)
            deleted.append(child)
    verdict.paired = tuple(paired)
    if ctx.policy.checks(Check.DELETE_CHILD):
        verdict.deleted = tuple(deleted)
        for child in deleted:
            del sa.children[child.spi_in]
    return verdict


def compose_response(sa: IkeSa, message: Message, verdict: Verdict, ctx: Context) -> list[Payload]:
    """Responder: our halves of the deleted Child SAs, an error notify, or nothing (also for a deleted IKE SA)."""
    if not verdict.ok:
        return [verdict.notify] if verdict.notify else []
    return [] if verdict.deletes_ike else _deletes(ctx.policy.answer_deletes(sa, message, verdict.paired))


def read_response(sa: IkeSa, message: Message, ctx: Context) -> Verdict:
    """Initiator: our deletes are done, whatever the response says of them."""
    error = messages.first_error(message)
    if error is not None and error.notify_type == NotifyType.INVALID_SYNTAX:
        return Verdict(Outcome.FATAL, error, "the peer refuses")
    verdict = Verdict(Outcome.OK if error is None else Outcome.REFUSED, error)
    read_window(sa, message)
    if isinstance(ctx.task, DeleteIke):
        verdict.deletes_ike = True
    if isinstance(ctx.task, DeleteChildren):
        gone = [child for child in ctx.task.children if sa.children.pop(child.spi_in, None) is not None]
        verdict.deleted = tuple(gone)
    return verdict
