"""CREATE_CHILD_SA (RFC 7296 section 1.3): another Child SA, a new one for an old one, or a new IKE SA.

Child request: [N(REKEY_SA)] [N(USE_TRANSPORT_MODE)] SA Ni [KEi] TSi TSr; response: [N(...)] SA Nr [KEr] TSi TSr.
IKE SA request: SA Ni KEi; response: SA Nr KEr (``rekey_ike``).
"""

from ipsectest.base.iana import NotifyType, ProtocolId
from ipsectest.ike import child, collisions, messages, rekey_ike
from ipsectest.ike.agreement import finish, respond, share_for
from ipsectest.ike.checks import Check
from ipsectest.ike.context import Context, Outcome, Verdict
from ipsectest.ike.ike_sa_init import answered_ke, nonce_fits
from ipsectest.ike.negotiation import ChildNegotiation
from ipsectest.ike.proposals import groups
from ipsectest.ike.sa import ChildSa, ChildState, IkeSa
from ipsectest.ike.states import Kind, kind_of
from ipsectest.ike.tasks import CreateChild, RekeyChild, RekeyIke
from ipsectest.wire import KE, SA, Message, Nonce, Notify, Payload

_CONSUMED = frozenset({NotifyType.REKEY_SA, NotifyType.USE_TRANSPORT_MODE})
_BAD_VALUE = "bad public value in KEr"


def rekeys_ike(message: Message) -> bool:
    """Whether a request is for an IKE SA: it proposes one."""
    sa_payload = message.get(SA)
    return sa_payload is not None and any(p.protocol == ProtocolId.IKE for p in sa_payload.proposals)


def rekeys_child(message: Message) -> bool:
    """Whether a request names a Child SA to replace."""
    return message.notify(NotifyType.REKEY_SA) is not None


def kind_of_message(message: Message) -> Kind:
    """What the state table knows a message as."""
    kind = kind_of(message.exchange_type, is_response=message.is_response)
    if kind is Kind.CREATE_CHILD_REQUEST:
        if rekeys_ike(message):
            return Kind.REKEY_IKE_REQUEST
        return Kind.REKEY_CHILD_REQUEST if rekeys_child(message) else kind
    return kind


def compose_request(sa: IkeSa, ctx: Context) -> list[Payload]:
    """The request for ``ctx.task``; with ``ctx.pending`` from before it is the repetition with another group."""
    if isinstance(ctx.task, RekeyIke):
        return rekey_ike.compose_request(sa, ctx)
    rekeyed = ctx.task.child if isinstance(ctx.task, RekeyChild) else None
    pending = ctx.pending
    if not isinstance(pending, ChildNegotiation):
        if not isinstance(ctx.task, CreateChild | RekeyChild):
            raise TypeError("CREATE_CHILD_SA has nothing to create")
        config = rekeyed.config if rekeyed else ctx.task.config  # type: ignore[union-attr]
        ctx.pending = pending = child.begin(sa, config, ctx, rekeyed)
    payloads: list[Payload] = []
    if rekeyed is not None:
        payloads.append(Notify(NotifyType.REKEY_SA, protocol=rekeyed.protocol, spi=rekeyed.spi_in))
    offered = child.offer(pending, ctx, with_ke=True)
    pending.nonce_i = ctx.overrides.nonce or ctx.policy.nonce(ctx.random)
    payloads += [*child.mode_notify(pending), offered, Nonce(pending.nonce_i), *_key_exchange(pending, ctx)]
    return payloads + child.selectors_of(pending)


def _key_exchange(pending: ChildNegotiation, ctx: Context) -> list[Payload]:
    """KEi where a group is offered: that is forward secrecy (RFC 7296 section 1.3.1)."""
    over = ctx.overrides
    pending.group = over.group or pending.group or ctx.policy.first_group(pending.offered)
    if not pending.group:
        return []
    share = share_for(pending.shares, pending.group, ctx.random)
    return [KE(pending.group, share.public if over.public_value is None else over.public_value)]


def read_request(sa: IkeSa, message: Message, ctx: Context) -> Verdict:
    """Responder: what is asked for, and whether it can be granted now."""
    if (notify := messages.fault(sa, message, ctx)) is not None:
        fatal = notify.notify_type == NotifyType.INVALID_SYNTAX
        return Verdict(Outcome.FATAL if fatal else Outcome.REFUSED, notify, "malformed CREATE_CHILD_SA request")
    if rekeys_ike(message):
        return rekey_ike.read_request(sa, message, ctx)
    nonce = message.get(Nonce)
    if nonce is None or not nonce_fits(nonce, ctx):
        return Verdict(Outcome.FATAL, Notify(NotifyType.INVALID_SYNTAX), "a proper Ni is missing")
    rekeyed = _rekeyed_child(sa, message, ctx)
    if isinstance(rekeyed, Verdict):
        return rekeyed
    pending = child.read_offer(sa, message, ctx, with_ke=True, rekeys=rekeyed)
    if isinstance(pending, Verdict):
        return pending
    pending.nonce_i = nonce.data
    refusal = _agree(pending, message.get(KE), ctx)
    ctx.pending = pending
    return refusal or Verdict(notifies=_others(message))


def _is_full(sa: IkeSa, ctx: Context) -> bool:
    """Whether there are as many Child SAs as may be; replaced ones are about to go (RFC 7296 section 1.3)."""
    if len(sa.children) < ctx.config.max_children:
        return False
    staying = [child for child in sa.children.values() if child.state is not ChildState.REKEYED]
    return len(staying) >= ctx.config.max_children


def _rekeyed_child(sa: IkeSa, message: Message, ctx: Context) -> ChildSa | Verdict | None:
    """The Child SA that REKEY_SA names; CHILD_SA_NOT_FOUND repeats protocol and SPI (RFC 7296 section 2.25).

    A Child SA that replaces none has to find room.
    """
    notify = message.notify(NotifyType.REKEY_SA)
    if notify is None:
        refused = Verdict(Outcome.REFUSED, Notify(NotifyType.NO_ADDITIONAL_SAS), "no more Child SAs")
        return refused if _is_full(sa, ctx) else None
    found = sa.child_by_peer_spi(notify.protocol, notify.spi)
    if found is None and not ctx.policy.checks(Check.SPI_DIRECTION):
        found = sa.children.get(notify.spi)
    if found is None:
        if not ctx.policy.checks(Check.REKEY_SPI):
            return None
        if collisions.is_creating(sa) and ctx.policy.checks(Check.CONFLICTS):
            # The peer may mean the Child SA whose response has not reached us yet: not now, rather than not at all.
            return Verdict(Outcome.REFUSED, Notify(NotifyType.TEMPORARY_FAILURE), "a Child SA is on its way")
        unknown = Notify(NotifyType.CHILD_SA_NOT_FOUND, protocol=notify.protocol, spi=notify.spi)
        return Verdict(Outcome.REFUSED, unknown, "no such Child SA")
    refusal = collisions.refuse_child_rekey(found, ctx.policy)
    return Verdict(Outcome.REFUSED, refusal, "the Child SA is being closed") if refusal else found


def _agree(pending: ChildNegotiation, ke: KE | None, ctx: Context) -> Verdict | None:
    """The key exchange of the chosen suite, if it has one; a Verdict is a refusal (RFC 7296 section 1.3)."""
    if pending.chosen is None or not pending.chosen.group:
        return None
    pending.group = pending.chosen.group
    if ke is None or (ke.group != pending.group and ctx.policy.checks(Check.KE_GROUP)):
        named = Notify(NotifyType.INVALID_KE_PAYLOAD, pending.group.to_bytes(2, "big"))
        return Verdict(Outcome.REFUSED, named, f"KE of group {pending.group} is needed")
    agreed = respond(pending.group, ke.data, ctx)
    if agreed is None:
        return Verdict(Outcome.FATAL, Notify(NotifyType.INVALID_SYNTAX), "bad public value")
    pending.public_value, pending.shared_secret = agreed
    return None


def compose_response(sa: IkeSa, message: Message, verdict: Verdict, ctx: Context) -> list[Payload]:
    """Responder: the Child SA, which ``verdict.child`` then holds, the IKE SA (``verdict.new_sa``) or the refusal."""
    if not verdict.ok:
        return [verdict.notify] if verdict.notify else []
    if isinstance(ctx.pending, IkeSa):
        return rekey_ike.compose_response(sa, message, verdict, ctx)
    pending = ctx.pending
    if not isinstance(pending, ChildNegotiation):
        raise TypeError("read_request comes first")
    answered = child.answer(pending, ctx)
    pending.nonce_r = ctx.overrides.nonce or ctx.policy.nonce(ctx.random)
    exchange = [KE(*answered_ke(pending.group, pending.public_value, ctx))] if pending.group else []
    verdict.child = child.install(sa, pending)
    return [*child.mode_notify(pending), answered, Nonce(pending.nonce_r), *exchange, *child.selectors_of(pending)]


def read_response(sa: IkeSa, message: Message, ctx: Context) -> Verdict:
    """Initiator: the new SA, RETRY with another group, or why there is none."""
    if isinstance(ctx.pending, IkeSa):
        return rekey_ike.read_response(sa, message, ctx)
    pending, error = ctx.pending, messages.first_error(message)
    if not isinstance(pending, ChildNegotiation):
        return Verdict(Outcome.REFUSED, error, "no CREATE_CHILD_SA request was composed")
    if error is not None and (message.get(SA) is None or ctx.policy.checks(Check.ERROR_FIRST)):
        group = messages.retry_group(error, groups(pending.offered), pending.group)
        pending.group = group or pending.group
        return messages.error_verdict(error, retry=group > 0)
    if (reason := _take(sa, pending, message, ctx)) != "":
        # The peer has installed its half: it has to be deleted (RFC 7296 section 2.21), after a public value
        # that nobody honest sends the whole IKE SA (RFC 6989 section 2.5).
        abandon = (ProtocolId.IKE, b"") if reason == _BAD_VALUE else (pending.config.protocol, pending.spi_in)
        return Verdict(Outcome.REFUSED, None, reason, abandon=abandon)
    return Verdict(child=child.install(sa, pending), notifies=_others(message))


def _take(sa: IkeSa, pending: ChildNegotiation, message: Message, ctx: Context) -> str:
    """Suite, selectors, nonce and secret out of a response; why they cannot be used, "" if they can."""
    nonce = message.get(Nonce)
    if messages.is_malformed(message, ctx) or nonce is None or not nonce_fits(nonce, ctx):
        return "malformed CREATE_CHILD_SA response"
    if (reason := child.read_answer(sa, pending, message, ctx)) != "":
        return reason
    pending.nonce_r = nonce.data
    return _finish(pending, message.get(KE), ctx)


def _finish(pending: ChildNegotiation, ke: KE | None, ctx: Context) -> str:
    group = pending.chosen.group if pending.chosen else 0
    if not group:
        return ""
    if ke is None or ke.group != group:
        return "KEr does not fit the chosen suite"
    secret = finish(pending.shares.get(group), ke.data, ctx)
    pending.shared_secret = secret or b""
    return _BAD_VALUE if secret is None else ""


def _others(message: Message) -> tuple[Notify, ...]:
    return tuple(n for n in message.all(Notify) if n.notify_type not in _CONSUMED)
