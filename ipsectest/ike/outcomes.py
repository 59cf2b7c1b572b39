"""What follows from the peer's response to a request of ours: the TAKE actions of the state table."""

from collections.abc import Callable
from dataclasses import replace

from ipsectest.base.clock import Instant
from ipsectest.base.iana import NAT_T_PORT, ExchangeType, NotifyType, ProtocolId, name_of
from ipsectest.ike import collisions
from ipsectest.ike.checks import Check
from ipsectest.ike.context import Context, Outcome, Verdict
from ipsectest.ike.events import Drop, DropReason, ExchangeDone, ExchangeFailed, IkeEstablished, PeerNotify
from ipsectest.ike.exchanges import EXCHANGES
from ipsectest.ike.sa import ChildSa, ChildState
from ipsectest.ike.session import Incoming, Session
from ipsectest.ike.states import Action, State
from ipsectest.ike.tasks import CreateChild, DeleteChildren, DeleteIke, Inform, RekeyChild, RekeyIke
from ipsectest.wire import Delete, Notify

MAX_ROUNDS = 5
"""Repetitions of one request because of COOKIE or INVALID_KE_PAYLOAD."""


def _read(session: Session, incoming: Incoming) -> tuple[Verdict, Context]:
    """Take the response to a protected request off the window and read it."""
    request = session.answered(incoming.message.message_id)
    if request is None:
        raise LookupError("responses without a request are dropped before")
    ctx = request.ctx
    ctx.now = incoming.now
    verdict = EXCHANGES[incoming.message.exchange_type].read_response(session.sa, incoming.message, ctx)
    for notify in verdict.notifies:
        session.host.emit(PeerNotify(session.sa, notify))
    return verdict, ctx


def take_init(session: Session, incoming: Incoming) -> None:
    """IKE_SA_INIT: go on, repeat, or wait for a better response."""
    sa, host, now = session.sa, session.host, incoming.now
    request = session.send.requests[0]
    ctx = request.ctx
    ctx.now = now
    verdict = EXCHANGES[ExchangeType.IKE_SA_INIT].read_response(sa, incoming.message, ctx)
    if verdict.outcome is Outcome.RETRY and session.rounds < MAX_ROUNDS:
        session.rounds += 1
        session.answered(0)
        session.request(ExchangeType.IKE_SA_INIT, ctx, message_id=0)
        return
    if not verdict.ok:
        session.last_error = _name(verdict.notify) if verdict.notify else verdict.reason
        if verdict.notify is not None and host.policy.believes(verdict.notify, awaited=True):
            session.close(session.last_error, now)
        host.drop(Drop(DropReason.UNACCEPTABLE, verdict.reason), incoming)
        return
    session.answered(0)
    sa.received(incoming.octets)
    if host.policy.moves_to_nat_port(sa):
        sa.local, sa.remote = replace(sa.local, port=NAT_T_PORT), replace(sa.remote, port=NAT_T_PORT)
    sa.state = State.AUTH_SENT
    following = session.context(now, ctx.task)
    following.initial_contact = sa.connection.initial_contact and host.is_only(session)
    session.request(ExchangeType.IKE_AUTH, following)


def take_auth(session: Session, incoming: Incoming) -> None:
    """IKE_AUTH: the IKE SA is up, or the peer is not who it should be."""
    sa, host, now = session.sa, session.host, incoming.now
    verdict, ctx = _read(session, incoming)
    if verdict.outcome is Outcome.FATAL:
        if verdict.due is None:
            session.close(_reason(verdict), now)
            return
        # The responder believes in the IKE SA: tell it why it ends (RFC 7296 section 2.21.2).
        sa.state, session.closing_reason = State.DELETING, verdict.reason
        session.request(ExchangeType.INFORMATIONAL, session.context(now, Inform((verdict.due,))))
        return
    sa.state = State.ESTABLISHED
    session.receive.size = host.config.window
    host.emit(IkeEstablished(sa))
    if verdict.child is not None:
        session.installed(verdict.child)
    if verdict.ok:
        host.emit(ExchangeDone(sa, ctx.task))
    else:
        host.emit(ExchangeFailed(sa, ctx.task, verdict.reason, verdict.notify))
        if not host.policy.survives_failed_child():
            session.close(verdict.reason, now)
    _abandon(session, verdict, incoming)
    session.pump(now)


def take_create_child(session: Session, incoming: Incoming) -> None:
    """CREATE_CHILD_SA: a new SA, another try, or a failure that leaves the IKE SA as it was."""
    now = incoming.now
    verdict, ctx = _read(session, incoming)
    if verdict.outcome is Outcome.RETRY and session.rounds < MAX_ROUNDS:
        session.rounds += 1
        session.request(ExchangeType.CREATE_CHILD_SA, ctx)
        return
    session.rounds = 0
    if verdict.outcome is Outcome.FATAL:
        session.close(_reason(verdict), now)
    elif verdict.child is not None:
        _take_child(session, verdict.child, ctx, incoming)
    elif verdict.new_sa is not None:
        _take_ike(session, verdict, ctx, incoming)
    else:
        _take_refusal(session, verdict, ctx, incoming)
        _abandon(session, verdict, incoming)
        if not session.host.policy.survives_failed_child():
            session.close(verdict.reason, now)
    if not collisions.is_creating(session.sa):
        session.sa.deleted_early.clear()
    session.pump(now)


def _take_child(session: Session, made: ChildSa, ctx: Context, incoming: Incoming) -> None:
    if (made.protocol, made.spi_out) in session.sa.deleted_early:
        # The peer's Delete has overtaken its response.
        session.sa.children.pop(made.spi_in, None)
        _peer_was_first(session, made.replaces)
        session.host.emit(ExchangeFailed(session.sa, ctx.task, "the peer has deleted it already"))
        return
    session.installed(made)
    session.host.emit(ExchangeDone(session.sa, ctx.task))
    old = made.replaces
    if old is None:
        return
    rival = collisions.rival_of(made, session.sa)
    doomed = collisions.child_to_delete(made, session.sa, session.host.policy)
    old.state = ChildState.REKEYED
    old.successor = rival if doomed is made and rival else made
    if doomed is not None and doomed.spi_in in session.sa.children:
        session.newest().submit(DeleteChildren((doomed,)), incoming.now)


def _take_ike(session: Session, verdict: Verdict, ctx: Context, incoming: Incoming) -> None:
    """Our rekey of the IKE SA came through: who made the surviving one deletes the old one (RFC 7296 2.8.2)."""
    sa, policy, now = session.sa, session.host.policy, incoming.now
    if verdict.new_sa is None or sa.state is not State.REKEYING:
        return
    ours, rival = session.open_successor(verdict.new_sa), session.rival
    session.host.emit(ExchangeDone(sa, ctx.task))
    if rival is None or policy.keeps_own(ours.sa.rekey_nonces, rival.sa.rekey_nonces):
        session.adopt(ours, now)
        session.submit(DeleteIke("rekeyed"), now)
        if rival is not None:
            # The peer deletes what it made, unless our Delete reaches it before our response (RFC 7296 section 2.25.2).
            rival.closing_reason = "lost the rekey collision"
            rival.expire(now + session.host.config.half_open_timeout)
    else:
        session.adopt(rival, now)
        ours.submit(DeleteIke("lost the rekey collision"), now)


def _take_refusal(session: Session, verdict: Verdict, ctx: Context, incoming: Incoming) -> None:
    """Nothing was made: perhaps later, perhaps by other means (RFC 7296 section 2.25)."""
    sa, now, task = session.sa, incoming.now, ctx.task
    error = verdict.notify.notify_type if verdict.notify else 0
    if isinstance(task, RekeyIke) and sa.state is State.REKEYING:
        sa.state = State.ESTABLISHED
        if session.rival is not None and session.rival.lives_on():
            session.adopt(session.rival, now)
            return
    if isinstance(task, RekeyChild) and _peer_was_first(session, task.child):
        return
    if error == NotifyType.TEMPORARY_FAILURE and _try_again(session, ctx, now):
        return
    session.host.emit(ExchangeFailed(sa, task, verdict.reason, verdict.notify))
    if error == NotifyType.NO_ADDITIONAL_SAS:
        _do_without(session, ctx, now)
    child = task.child if isinstance(task, RekeyChild) and error == NotifyType.CHILD_SA_NOT_FOUND else None
    if child is not None and child.spi_in in sa.children and session.host.policy.checks(Check.CHILD_LOST):
        # The peer has lost it: take it away silently and ask for a new one (RFC 7296 section 2.25).
        session.remove_children((child,), "the peer does not have it")
        session.submit(CreateChild(child.config), now)


def _do_without(session: Session, ctx: Context, now: Instant) -> None:
    """After NO_ADDITIONAL_SAS: delete what was to be rekeyed and make it anew (RFC 7296 section 4).

    A peer that refuses even to replace its only Child SA gets it with a new IKE SA.
    """
    sa, task = session.sa, ctx.task
    sa.takes_no_children = isinstance(task, CreateChild)
    if sa.takes_no_children or sa.state is not State.ESTABLISHED:
        return
    if not session.host.policy.checks(Check.NO_ADDITIONAL_SAS):
        return
    if isinstance(task, RekeyChild) and len(sa.children) > 1:
        session.submit(DeleteChildren((task.child,)), now)
        session.submit(CreateChild(task.child.config), now)
        return
    session.submit(DeleteIke("the peer does not rekey it"), now)
    session.host.initiate(replace(sa.connection, local=sa.local, remote=sa.remote), now)


def _try_again(session: Session, ctx: Context, now: Instant) -> bool:
    """After TEMPORARY_FAILURE: wait, and after minutes of it end the IKE SA (RFC 7296 section 2.25)."""
    if session.sa.state is not State.ESTABLISHED:
        return False
    wait = session.host.policy.retry_after_temporary_failure(ctx.attempts + 1, ctx.random)
    if wait is None:
        session.submit(DeleteIke("TEMPORARY_FAILURE for minutes"), now)
        return False
    again = session.context(now, ctx.task)
    again.attempts, again.not_before = ctx.attempts + 1, now + wait
    session.queue.append(again)
    return True


def _peer_was_first(session: Session, child: ChildSa | None) -> bool:
    """After a rekey of ours that came to nothing: whether the peer's own rekey has replaced the Child SA."""
    if child is None:
        return False
    made = next((c for c in session.sa.children.values() if c.replaces is child and not c.is_initiator), None)
    if child.state is ChildState.REKEYING:
        child.state = ChildState.INSTALLED if made is None else ChildState.REKEYED
    if made is not None:
        child.successor = made
    return made is not None


def take_informational(session: Session, incoming: Incoming) -> None:
    """INFORMATIONAL: what we deleted is gone."""
    now = incoming.now
    verdict, ctx = _read(session, incoming)
    if verdict.outcome is Outcome.FATAL:
        session.close(_reason(verdict), now)
        return
    session.remove_children(verdict.deleted, "deleted by us")
    if verdict.deletes_ike or (session.sa.state is State.DELETING and isinstance(ctx.task, Inform)):
        session.close(session.closing_reason, now)
        return
    if verdict.ok:
        session.host.emit(ExchangeDone(session.sa, ctx.task))
    else:
        session.host.emit(ExchangeFailed(session.sa, ctx.task, verdict.reason, verdict.notify))
    session.pump(now)


def _abandon(session: Session, verdict: Verdict, incoming: Incoming) -> None:
    """Delete what the peer made of a response that we cannot use (RFC 7296 section 2.21)."""
    if verdict.abandon is not None:
        protocol, spi = verdict.abandon
        whole = protocol == ProtocolId.IKE
        session.submit(DeleteIke(verdict.reason) if whole else Inform((Delete(protocol, [spi]),)), incoming.now)


def _reason(verdict: Verdict) -> str:
    return f"{verdict.reason}: {_name(verdict.notify)}" if verdict.notify else verdict.reason


def _name(notify: Notify) -> str:
    return name_of(NotifyType, notify.notify_type)


HANDLERS: dict[Action, Callable[[Session, Incoming], None]] = {
    Action.TAKE_INIT_RESPONSE: take_init,
    Action.TAKE_AUTH_RESPONSE: take_auth,
    Action.TAKE_CREATE_CHILD_RESPONSE: take_create_child,
    Action.TAKE_INFORMATIONAL_RESPONSE: take_informational,
}
"""Which function carries an action out."""
