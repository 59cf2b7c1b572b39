"""Negotiating one Child SA, in IKE_AUTH and in CREATE_CHILD_SA alike (RFC 7296 sections 1.2, 1.3.1, 2.9, 2.17)."""

from dataclasses import replace

from ipsectest.base.iana import NotifyType
from ipsectest.ike import keys, nat_transport, proposals, selectors
from ipsectest.ike.checks import Check
from ipsectest.ike.config import ChildConfig, Mode
from ipsectest.ike.context import Context, Outcome, Verdict
from ipsectest.ike.negotiation import ChildNegotiation
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.wire import SA, Message, Notify, Payload, Proposal, TSi, TSr

SPI_SIZE = 4


def begin(sa: IkeSa, config: ChildConfig, ctx: Context, rekeys: ChildSa | None = None) -> ChildNegotiation:
    """What the exchange's initiator is about to offer; a rekey asks for what is in use (RFC 7296 section 2.9.2)."""
    over = ctx.overrides
    transport = (config.mode is Mode.TRANSPORT) if over.transport is None else over.transport
    known = rekeys or config
    local, remote = [*known.local_ts], [*known.remote_ts]
    if transport and ctx.policy.substitutes(sa):
        fitting = nat_transport.renew if rekeys else nat_transport.offer
        local, remote = fitting(local, sa.local.host), fitting(remote, sa.remote.host)
    return ChildNegotiation(
        config,
        is_initiator=True,
        spi_in=over.spi or fresh_spi(sa, ctx),
        rekeys=rekeys,
        mode=Mode.TRANSPORT if transport else Mode.TUNNEL,
        local_ts=[*(over.local_ts or local)],
        remote_ts=[*(over.remote_ts or remote)],
    )


def fresh_spi(sa: IkeSa, ctx: Context) -> bytes:
    """An inbound SPI: not one of ours, not of the reserved ones up to 255 (RFC 4303 section 2.1)."""
    while True:
        spi = ctx.random(SPI_SIZE)
        if spi not in sa.children and any(spi[:3]):
            return spi


def offer(child: ChildNegotiation, ctx: Context, *, with_ke: bool) -> SA:
    """The SA payload of the request; kept in ``child.offered``."""
    over, config = ctx.overrides, child.config
    if over.proposals is not None:
        child.offered = [replace(p, spi=p.spi or child.spi_in) for p in over.proposals]
    else:
        suites = over.suites or proposals.child_suites(config.proposals, with_ke=with_ke)
        child.offered = proposals.offer(suites, config.protocol, child.spi_in)
    return SA(child.offered)


def mode_notify(child: ChildNegotiation) -> list[Payload]:
    """USE_TRANSPORT_MODE where transport mode is wanted or granted."""
    return [Notify(NotifyType.USE_TRANSPORT_MODE)] if child.mode is Mode.TRANSPORT else []


def selectors_of(child: ChildNegotiation) -> list[Payload]:
    """TSi and TSr: the initiator of the exchange is the source of TSi."""
    first, second = (child.local_ts, child.remote_ts) if child.is_initiator else (child.remote_ts, child.local_ts)
    return [TSi([*first]), TSr([*second])]


def read_offer(
    sa: IkeSa, message: Message, ctx: Context, *, with_ke: bool, rekeys: ChildSa | None = None
) -> ChildNegotiation | Verdict:
    """Responder of the exchange: suite, mode and selectors; a Verdict is a refusal."""
    sa_payload, ts_i, ts_r = message.get(SA), message.get(TSi), message.get(TSr)
    if sa_payload is None or ts_i is None or ts_r is None:
        return Verdict(Outcome.FATAL, Notify(NotifyType.INVALID_SYNTAX), "SA, TSi or TSr is missing")
    best = Verdict(Outcome.REFUSED, Notify(NotifyType.NO_PROPOSAL_CHOSEN), "no Child SA is configured")
    for config in (rekeys.config,) if rekeys else sa.connection.children:
        child = ChildNegotiation(config, is_initiator=False, offered=sa_payload.proposals, rekeys=rekeys)
        wanted = proposals.child_suites(config.proposals, with_ke=with_ke)
        child.chosen = ctx.policy.choose(child.offered, wanted, config.protocol, SPI_SIZE)
        if child.chosen is None:
            best = Verdict(Outcome.REFUSED, Notify(NotifyType.NO_PROPOSAL_CHOSEN), "no acceptable suite")
            continue
        if _fit(child, sa, message, ctx):
            child.spi_in = ctx.overrides.spi or fresh_spi(sa, ctx)
            return child
        best = Verdict(Outcome.REFUSED, Notify(NotifyType.TS_UNACCEPTABLE), "no acceptable traffic selectors")
    return best


def _fit(child: ChildNegotiation, sa: IkeSa, message: Message, ctx: Context) -> bool:
    """Mode and selectors that a configured Child SA has in common with the offer; whether there are any.

    Behind a NAT transport mode is looked up as seen from here, a tunnel as it was asked for (RFC 7296 section 2.23.1).
    """
    theirs, ours = (selectors.usable(ts.selectors) for kind in (TSi, TSr) for ts in message.all(kind)[:1])
    wants_transport = message.notify(NotifyType.USE_TRANSPORT_MODE) is not None
    child.mode = child.config.mode if wants_transport else Mode.TUNNEL
    if child.mode is Mode.TRANSPORT and ctx.policy.substitutes(sa):
        seen = nat_transport.asked(sa, theirs, ours)
        if seen is None:
            return False
        theirs, ours, child.real = seen.remote, seen.local, seen.real
    child.remote_ts = ctx.policy.narrow(theirs, child.config.remote_ts)
    child.local_ts = ctx.policy.narrow(ours, child.config.local_ts)
    return bool(child.local_ts and child.remote_ts)


def answer(child: ChildNegotiation, ctx: Context) -> SA:
    """The SA payload of the response; overrides change what is chosen, selectors and mode."""
    over = ctx.overrides
    child.spi_in = over.spi or child.spi_in
    child.local_ts = list(over.local_ts or child.local_ts)
    child.remote_ts = list(over.remote_ts or child.remote_ts)
    if over.transport is not None:
        child.mode = Mode.TRANSPORT if over.transport else Mode.TUNNEL
    if over.suites or over.proposals is not None:
        answered = SA(_overridden(child, ctx))
        child.chosen = proposals.overridden(child.chosen, answered)
        return answered
    if child.chosen is None:
        raise LookupError("nothing has been chosen")
    return proposals.answer(child.chosen, child.spi_in)


def _overridden(child: ChildNegotiation, ctx: Context) -> list[Proposal]:
    over = ctx.overrides
    if over.proposals is not None:
        return [replace(p, spi=p.spi or child.spi_in) for p in over.proposals]
    return proposals.offer(over.suites or (), child.config.protocol, child.spi_in)


def read_answer(sa: IkeSa, child: ChildNegotiation, message: Message, ctx: Context) -> str:
    """Initiator of the exchange: take the choice over; why it cannot be taken, "" if it can."""
    sa_payload, ts_i, ts_r = message.get(SA), message.get(TSi), message.get(TSr)
    if sa_payload is None or ts_i is None or ts_r is None:
        return "SA, TSi or TSr is missing"
    child.chosen = ctx.policy.accept(child.offered, sa_payload, SPI_SIZE)
    if child.chosen is None:
        return "the answered suite was not offered"
    local, remote = selectors.usable(ts_i.selectors), selectors.usable(ts_r.selectors)
    granted = message.notify(NotifyType.USE_TRANSPORT_MODE) is not None
    if granted and ctx.policy.substitutes(sa):
        seen = nat_transport.answered(sa, remote, local, (child.remote_ts, child.local_ts))
        if seen is None:
            return "the answered selectors are not for one address each"
        remote, local, child.real = seen.remote, seen.local, seen.real
    fits = selectors.within(local, child.local_ts) and selectors.within(remote, child.remote_ts)
    if not fits and ctx.policy.checks(Check.SELECTORS):
        return "the answered selectors are not within the offer"
    if granted != (child.mode is Mode.TRANSPORT):
        return "the peer declines transport mode" if not granted else "transport mode was not asked for"
    child.local_ts, child.remote_ts = local, remote
    return ""


def install(sa: IkeSa, child: ChildNegotiation) -> ChildSa:
    """The finished Child SA with keys, put among the children of sa."""
    if child.chosen is None:
        raise LookupError("nothing has been chosen")
    made = ChildSa(
        child.config,
        child.chosen.protocol,
        child.spi_in,
        child.chosen.peer_spi,
        child.chosen,
        keys.derive_child(sa, child),
        child.mode,
        tuple(child.local_ts),
        tuple(child.remote_ts),
        child.is_initiator,
        (child.nonce_i, child.nonce_r),
        real=child.real,
        replaces=child.rekeys,
    )
    sa.children[made.spi_in] = made
    return made
