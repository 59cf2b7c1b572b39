"""What follows from a request of the peer: the ANSWER and REFUSE actions of the state table."""

from collections.abc import Callable

from ipsectest.base.iana import NotifyType
from ipsectest.ike.checks import Check
from ipsectest.ike.context import Context, Outcome, Verdict
from ipsectest.ike.events import ExchangeFailed, IkeEstablished, PeerNotify
from ipsectest.ike.exchanges import EXCHANGES
from ipsectest.ike.sa import ChildSa, ChildState
from ipsectest.ike.session import Incoming, Session
from ipsectest.ike.states import Action, State
from ipsectest.ike.tasks import Initiate
from ipsectest.wire import Notify


def _answer(session: Session, incoming: Incoming) -> tuple[Verdict, Context]:
    """Read a request and send the response."""
    module = EXCHANGES[incoming.message.exchange_type]
    ctx = session.context(incoming.now)
    verdict = module.read_request(session.sa, incoming.message, ctx)
    session.respond(incoming, module.compose_response(session.sa, incoming.message, verdict, ctx))
    for notify in verdict.notifies:
        session.host.emit(PeerNotify(session.sa, notify))
    if verdict.outcome is Outcome.FATAL:
        session.close(verdict.reason, incoming.now)
    return verdict, ctx


def answer_auth(session: Session, incoming: Incoming) -> None:
    """The peer proves itself; then the IKE SA is up, with or without its first Child SA."""
    sa, host = session.sa, session.host
    verdict, _ = _answer(session, incoming)
    host.has_authenticated(session)
    if verdict.outcome is Outcome.FATAL:
        return
    sa.state, session.expires = State.ESTABLISHED, None
    session.receive.size = host.config.window
    host.emit(IkeEstablished(sa))
    if incoming.message.notify(NotifyType.INITIAL_CONTACT) is not None:
        host.close_others(session, incoming.now)
    if verdict.child is not None:
        session.installed(verdict.child)
    elif verdict.outcome is Outcome.CHILD_FAILED:
        host.emit(ExchangeFailed(sa, Initiate(), verdict.reason, verdict.notify))


def answer_create_child(session: Session, incoming: Incoming) -> None:
    """Another Child SA, or one for an old one that the peer will delete."""
    verdict, _ = _answer(session, incoming)
    if verdict.child is not None:
        session.installed(verdict.child)
        _note_rekey(verdict.child)


def _note_rekey(made: ChildSa) -> None:
    """The old SA has a successor; if our own rekey of it is under way, its response decides (RFC 7296 section 2.8.1)."""
    old = made.replaces
    if old is not None and old.state is not ChildState.REKEYING:
        old.state, old.successor = ChildState.REKEYED, made


def answer_rekey_ike(session: Session, incoming: Incoming) -> None:
    """A new IKE SA; a crossing rekey of ours is decided by its response (2.8.2)."""
    verdict, _ = _answer(session, incoming)
    if verdict.new_sa is None or session.sa.state is State.CLOSED:
        return
    successor = session.open_successor(verdict.new_sa)
    if session.sa.state is State.REKEYING:
        session.rival = successor
    else:
        session.adopt(successor, incoming.now)


def answer_informational(session: Session, incoming: Incoming) -> None:
    """Deletes, notifies, or just a sign of life."""
    verdict, _ = _answer(session, incoming)
    session.remove_children(verdict.deleted, "deleted by the peer")
    rejected = any(n.notify_type == NotifyType.AUTHENTICATION_FAILED for n in verdict.notifies)
    if verdict.deletes_ike and session.host.policy.checks(Check.DELETE_IKE):
        session.close("deleted by the peer", incoming.now)
    elif rejected and verdict.ok:
        session.close("the peer reports AUTHENTICATION_FAILED", incoming.now)


def refuse_for_now(session: Session, incoming: Incoming) -> None:
    """Not while the IKE SA is replaced or closed (RFC 7296 section 2.25.2)."""
    if not session.host.policy.checks(Check.CONFLICTS):
        answer_create_child(session, incoming)
        return
    session.respond(incoming, [Notify(NotifyType.TEMPORARY_FAILURE)])


def refuse_syntax(session: Session, incoming: Incoming) -> None:
    """A request that has no place here: both ends give the IKE SA up (RFC 7296 section 2.21.3)."""
    session.respond(incoming, [Notify(NotifyType.INVALID_SYNTAX)])
    session.close(f"exchange type {incoming.message.exchange_type} is out of place", incoming.now)


HANDLERS: dict[Action, Callable[[Session, Incoming], None]] = {
    Action.ANSWER_AUTH: answer_auth,
    Action.ANSWER_CREATE_CHILD: answer_create_child,
    Action.ANSWER_REKEY_IKE: answer_rekey_ike,
    Action.ANSWER_INFORMATIONAL: answer_informational,
    Action.REFUSE_FOR_NOW: refuse_for_now,
    Action.REFUSE_SYNTAX: refuse_syntax,
}
"""Which function carries an action out."""
