"""IKE_AUTH (RFC 7296 section 1.2): both ends prove who they are, and the first Child SA comes with it.

Request: IDi [CERT+] [N(INITIAL_CONTACT)] [CERTREQ] [IDr] AUTH [N(USE_TRANSPORT_MODE)] SA TSi TSr.
SA, TSi and TSr are left out of both where the responder has announced RFC 6023 and the initiator wants no Child SA.
Response: IDr [CERT+] AUTH [N(USE_TRANSPORT_MODE)] SA TSi TSr, or an error notify: alone when it ends the
IKE SA, behind AUTH when only the Child SA failed (RFC 7296 section 2.21.2).
"""

from ipsectest.base.iana import NotifyType
from ipsectest.ike import auth, child, ike_sa_init, messages
from ipsectest.ike.checks import Check
from ipsectest.ike.config import Childless, EndpointConfig, Identity
from ipsectest.ike.context import Context, Outcome, Verdict
from ipsectest.ike.negotiation import ChildNegotiation
from ipsectest.ike.sa import IkeSa
from ipsectest.ike.tasks import Initiate
from ipsectest.wire import AUTH, SA, Identification, IDi, IDr, Message, Notify, Payload, TSi, TSr

FATAL = frozenset({
    NotifyType.AUTHENTICATION_FAILED, NotifyType.INVALID_SYNTAX, NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD,
})  # fmt: skip
"""Error notifies after which there is no IKE SA (RFC 7296 section 2.21.2)."""
_CONSUMED = frozenset({NotifyType.USE_TRANSPORT_MODE, NotifyType.INITIAL_CONTACT, NotifyType.SET_WINDOW_SIZE})


def compose_request(sa: IkeSa, ctx: Context) -> list[Payload]:
    """Everything the initiator has to say; the Child SA is the connection's first one, or that of the task."""
    identity = ctx.overrides.identity or sa.connection.local_identity
    peer = ctx.overrides.peer_identity or sa.connection.remote_identity
    payloads: list[Payload] = [IDi(identity.type, identity.data), *auth.certificates_to_send(sa, ctx)]
    if ctx.initial_contact:
        payloads.append(Notify(NotifyType.INITIAL_CONTACT))
    payloads += ike_sa_init.certificate_requests(sa)
    if peer is not None:
        payloads.append(IDr(peer.type, peer.data))
    payloads.append(auth.compute(sa, identity, ctx))
    if not sa.connection.starts_childless:
        wanted = ctx.task.first if isinstance(ctx.task, Initiate) else None
        ctx.pending = child.begin(sa, wanted or sa.connection.children[0], ctx)
        offered = child.offer(ctx.pending, ctx, with_ke=False)
        payloads += [*child.mode_notify(ctx.pending), offered, *child.selectors_of(ctx.pending)]
    return [*payloads, *window_notify(ctx.config)]


def window_notify(config: EndpointConfig) -> tuple[Payload, ...]:
    """SET_WINDOW_SIZE where we process several requests at once (RFC 7296 section 2.3)."""
    return (Notify(NotifyType.SET_WINDOW_SIZE, config.window.to_bytes(4, "big")),) if config.window > 1 else ()


def read_request(sa: IkeSa, message: Message, ctx: Context) -> Verdict:
    """Responder: who is it, is it true, and what Child SA does it get."""
    if (notify := messages.fault(sa, message, ctx)) is not None:
        return Verdict(Outcome.FATAL, notify, "malformed IKE_AUTH request")
    identification, claim = message.get(IDi), message.get(AUTH)
    if identification is None or claim is None:
        return Verdict(Outcome.FATAL, Notify(NotifyType.INVALID_SYNTAX), "IDi or AUTH is missing")
    _take_identity(sa, identification)
    if (reason := _authenticate(sa, message, identification, claim, ctx)) != "":
        return Verdict(Outcome.FATAL, Notify(NotifyType.AUTHENTICATION_FAILED), reason)
    sa.requested_authorities = auth.requested_authorities(message)
    read_window(sa, message)
    return _read_offer(sa, message, ctx)


def _read_offer(sa: IkeSa, message: Message, ctx: Context) -> Verdict:
    """The Child SA that the initiator asks for, if it does."""
    if _is_childless(message) and (sa.may_be_childless or not ctx.policy.checks(Check.CHILDLESS)):
        return Verdict(notifies=_others(message))
    offered = child.read_offer(sa, message, ctx, with_ke=False)
    if isinstance(offered, ChildNegotiation) and sa.connection.childless is Childless.FORCE:
        offered = Verdict(Outcome.REFUSED, Notify(NotifyType.NO_PROPOSAL_CHOSEN), "no Child SA in IKE_AUTH")
    if isinstance(offered, Verdict):
        if offered.outcome is Outcome.FATAL:
            return offered
        return Verdict(Outcome.CHILD_FAILED, offered.notify, offered.reason, notifies=_others(message))
    offered.nonce_i, offered.nonce_r = sa.nonce_i, sa.nonce_r
    ctx.pending = offered
    return Verdict(notifies=_others(message))


def _is_childless(message: Message) -> bool:
    """Whether an IKE_AUTH request asks for no Child SA (RFC 6023 section 5)."""
    return not any(isinstance(payload, SA | TSi | TSr) for payload in message.payloads)


def _authenticate(sa: IkeSa, message: Message, identification: Identification, claim: AUTH, ctx: Context) -> str:
    connection = ctx.policy.connection_of(ctx.config, sa, message)
    if connection is not None:
        sa.connection = connection
    elif ctx.policy.checks(Check.PEER_IDENTITY):
        return f"no connection for {sa.remote_identity}"
    return auth.verify(sa, claim, identification, message, ctx)


def _take_identity(sa: IkeSa, identification: Identification) -> None:
    sa.remote_identity = Identity(identification.id_type, identification.data)


def compose_response(sa: IkeSa, message: Message, verdict: Verdict, ctx: Context) -> list[Payload]:
    """Responder: our proof and the Child SA, which ``verdict.child`` then holds."""
    del message
    if verdict.outcome is Outcome.FATAL:
        return [verdict.notify] if verdict.notify else []
    identity = ctx.overrides.identity or sa.connection.local_identity
    payloads: list[Payload] = [IDr(identity.type, identity.data), *auth.certificates_to_send(sa, ctx)]
    payloads.append(auth.compute(sa, identity, ctx))
    if verdict.outcome is Outcome.CHILD_FAILED and verdict.notify:
        return [*payloads, verdict.notify, *window_notify(ctx.config)]
    if isinstance(ctx.pending, ChildNegotiation):
        answered = child.answer(ctx.pending, ctx)
        payloads += [*child.mode_notify(ctx.pending), answered, *child.selectors_of(ctx.pending)]
        verdict.child = child.install(sa, ctx.pending)
    return [*payloads, *window_notify(ctx.config)]


def read_response(sa: IkeSa, message: Message, ctx: Context) -> Verdict:
    """Initiator: FATAL if the peer is not who it should be, CHILD_FAILED if only the Child SA is not there."""
    error = messages.first_error(message)
    if error is not None and error.notify_type in FATAL and ctx.policy.checks(Check.ERROR_FIRST):
        return Verdict(Outcome.FATAL, error, "the peer refuses")
    identification, claim = message.get(IDr), message.get(AUTH)
    if messages.is_malformed(message, ctx) or identification is None or claim is None:
        return Verdict(Outcome.FATAL, error, "malformed IKE_AUTH response")
    _take_identity(sa, identification)
    expected = sa.connection.remote_identity
    is_other = expected is not None and not expected.is_same(sa.remote_identity)
    if is_other and ctx.policy.checks(Check.PEER_IDENTITY):
        return _unauthenticated(f"the peer is {sa.remote_identity}, not {expected}")
    if (reason := auth.verify(sa, claim, identification, message, ctx)) != "":
        return _unauthenticated(reason)
    read_window(sa, message)
    return _read_child(sa, message, error, ctx)


def _unauthenticated(reason: str) -> Verdict:
    """The notify may be told to the responder in an INFORMATIONAL (RFC 7296 section 2.21.2)."""
    return Verdict(Outcome.FATAL, None, reason, due=Notify(NotifyType.AUTHENTICATION_FAILED))


def _read_child(sa: IkeSa, message: Message, error: Notify | None, ctx: Context) -> Verdict:
    pending = ctx.pending
    if not isinstance(pending, ChildNegotiation):
        return Verdict(notifies=_others(message))
    if error is not None and ctx.policy.checks(Check.ERROR_FIRST):
        return Verdict(Outcome.CHILD_FAILED, error, "the peer refuses the Child SA", notifies=_others(message))
    pending.nonce_i, pending.nonce_r = sa.nonce_i, sa.nonce_r
    if (reason := child.read_answer(sa, pending, message, ctx)) != "":
        # The peer has installed it: it has to be deleted (RFC 7296 section 2.21).
        abandon = (pending.config.protocol, pending.spi_in)
        return Verdict(Outcome.CHILD_FAILED, None, reason, abandon=abandon, notifies=_others(message))
    return Verdict(child=child.install(sa, pending), notifies=_others(message))


def read_window(sa: IkeSa, message: Message) -> None:
    """SET_WINDOW_SIZE of the peer: the window only grows (RFC 7296 section 2.3)."""
    notify = message.notify(NotifyType.SET_WINDOW_SIZE)
    if notify is not None and len(notify.data) == 4:
        sa.peer_window = max(sa.peer_window, int.from_bytes(notify.data, "big"))


def _others(message: Message) -> tuple[Notify, ...]:
    return tuple(n for n in message.all(Notify) if n.notify_type not in _CONSUMED)
