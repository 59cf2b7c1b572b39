"""What follows from a request of the peer: the ANSWER and REFUSE actions of the state table."""

from collections.abc import Callable

from ipsectest.base.iana import NotifyType
from ipsectest.ike.checks import Check
from ipsectest.ike.context import Outcome, Verdict
from ipsectest.ike.events import ExchangeFailed, IkeEstablished, PeerNotify
from ipsectest.ike.exchanges import EXCHANGES
from ipsectest.ike.sa import ChildSa, ChildState
from ipsectest.ike.session import Incoming, Session
from ipsectest.ike.states import Action, Kind, State
from ipsectest.ike.tasks import Initiate
from ipsectest.wire import Notify


def _answer(session: Session, incoming: Incoming) -> Verdict:
    """Read a request and send the response."""
    module = EXCHANGES[incoming.message.exchange_type]
    ctx = session.context(incoming.now)
    verdict = module.read_request(session.sa, incoming.message, ctx)
    session.respond(incoming, module.compose_response(session.sa, incoming.message, verdict, ctx))
    for notify in verdict.notifies:
        session.host.emit(PeerNotify(session.sa, notify))
    checks = session.host.policy.checks
    if verdict.outcome is Outcome.FATAL and (checks(Check.AUTH_FAILURE) or session.sa.state is State.ESTABLISHED):
        session.close(verdict.reason, incoming.now)
    return verdict


def answer_auth(session: Session, incoming: Incoming) -> None:
    """The peer proves itself; then the IKE SA is up, with or without its first Child SA."""
    sa, host = session.sa, session.host
    verdict = _answer(session, incoming)
    host.has_authenticated(session)
    if sa.state is State.CLOSED:
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
        _mourn(session, verdict, incoming)


def answer_create_child(session: Session, incoming: Incoming) -> None:
    """Another Child SA, or one for an old one that the peer will delete."""
    verdict = _answer(session, incoming)
    if verdict.child is not None:
        session.installed(verdict.child)
        _note_rekey(verdict.child)
    else:
        _mourn(session, verdict, incoming)


def _mourn(session: Session, verdict: Verdict, incoming: Incoming) -> None:
    """A Child SA could not be made: the IKE SA goes on (RFC 7296 section 1.3.1)."""
    if not session.host.policy.survives_failed_child():
        session.close(verdict.reason, incoming.now)


def _note_rekey(made: ChildSa) -> None:
    """The old SA has a successor, unless the response to our own rekey is to decide (RFC 7296 section 2.8.1)."""
    old = made.replaces
    if old is not None and old.state is not ChildState.REKEYING:
        old.state, old.successor = ChildState.REKEYED, made


def answer_rekey_ike(session: Session, incoming: Incoming) -> None:
    """A new IKE SA; a crossing rekey of ours is decided by its response (2.8.2)."""
    verdict = _answer(session, incoming)
    if verdict.new_sa is None or session.sa.state is State.CLOSED:
        return
    successor = session.open_successor(verdict.new_sa)
    if session.sa.state is State.REKEYING:
        session.rival = successor
    else:
        session.adopt(successor, incoming.now)
        if not session.host.policy.checks(Check.OLD_IKE_SA):
            session.close("forgotten", incoming.now)
            session.host.forget(session)


def answer_informational(session: Session, incoming: Incoming) -> None:
    """Deletes, notifies, or just a sign of life."""
    verdict = _answer(session, incoming)
    session.remove_children(verdict.deleted, "deleted by the peer")
    rejected = any(n.notify_type == NotifyType.AUTHENTICATION_FAILED for n in verdict.notifies)
    if verdict.deletes_ike and session.host.policy.checks(Check.DELETE_IKE):
        session.close("deleted by the peer", incoming.now)
    elif (rejected and verdict.ok) or _believed(session, verdict):
        session.close("the peer reports an error", incoming.now)


def _believed(session: Session, verdict: Verdict) -> bool:
    """Whether the peer's report of a strange SPI ends the IKE SA: no (RFC 7296 section 2.21.4)."""
    reports = {NotifyType.INVALID_SPI, NotifyType.INVALID_IKE_SPI}
    told = any(n.notify_type in reports for n in verdict.notifies)
    return told and not session.host.policy.checks(Check.REPORTS)


def refuse_for_now(session: Session, incoming: Incoming) -> None:
    """Not while the IKE SA is replaced or closed (RFC 7296 section 2.25.2)."""
    if not session.host.policy.checks(Check.CONFLICTS):
        (answer_rekey_ike if incoming.kind is Kind.REKEY_IKE_REQUEST else answer_create_child)(session, incoming)
        return
    session.respond(incoming, [Notify(NotifyType.TEMPORARY_FAILURE)])


def refuse_syntax(session: Session, incoming: Incoming) -> None:
    """A request that has no place here: both ends give the IKE SA up (RFC 7296 section 2.21.3)."""
    if incoming.kind is Kind.AUTH_REQUEST and not session.host.policy.checks(Check.SECOND_AUTH):
        session.respond(incoming, [])
        return
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
