"""CREATE_CHILD_SA that replaces the IKE SA (RFC 7296 sections 1.3.2 and 2.18).

The new IKE SA is an ``IkeSa`` of its own from the start: whoever asks for it is its original initiator, its
SPIs travel in the proposals, its Message IDs begin at 0 and its window is 1 again.
"""

from ipsectest.base.iana import NotifyType, ProtocolId
from ipsectest.ike import collisions, keys, messages
from ipsectest.ike.agreement import finish, respond, share_for
from ipsectest.ike.checks import Check
from ipsectest.ike.context import Context, Outcome, Verdict
from ipsectest.ike.ike_sa_init import answered_ke, chosen_answer, nonce_fits, offered
from ipsectest.ike.proposals import groups
from ipsectest.ike.sa import ZERO_SPI, IkeSa, Role
from ipsectest.wire import KE, SA, Message, Nonce, Notify, Payload

SPI_SIZE = 8


def successor_of(sa: IkeSa, role: Role) -> IkeSa:
    """A new IKE SA between the same peers."""
    return IkeSa(
        role,
        sa.local,
        sa.remote,
        sa.connection,
        peer_hashes=sa.peer_hashes,
        local_behind_nat=sa.local_behind_nat,
        remote_behind_nat=sa.remote_behind_nat,
        remote_identity=sa.remote_identity,
    )


def compose_request(sa: IkeSa, ctx: Context) -> list[Payload]:
    """SA Ni KEi, with our new SPI in every proposal."""
    over, new = ctx.overrides, ctx.pending
    if not isinstance(new, IkeSa):
        ctx.pending = new = successor_of(sa, Role.INITIATOR)
        new.spi_i = over.spi or ctx.random(SPI_SIZE)
    new.offered = offered(new, ctx, new.spi_i)
    new.group = over.group or new.group or ctx.policy.first_group(new.offered)
    new.nonce_i = over.nonce or ctx.policy.nonce(ctx.random)
    share = share_for(new.shares, new.group, ctx.random)
    public = share.public if over.public_value is None else over.public_value
    return [SA(new.offered), Nonce(new.nonce_i), KE(new.group, public)]


def read_request(sa: IkeSa, message: Message, ctx: Context) -> Verdict:
    """Responder: suite and secret of the new IKE SA, unless a Child SA exchange of ours is under way."""
    refusal = collisions.refuse_ike_rekey(sa.outstanding, ctx.policy)
    if refusal is not None:
        return Verdict(Outcome.REFUSED, refusal, "a Child SA exchange is under way")
    sa_payload, ke, nonce = message.get(SA), message.get(KE), message.get(Nonce)
    missing = ke is None and ctx.policy.checks(Check.REKEY_KE)
    if sa_payload is None or missing or nonce is None or not nonce_fits(nonce, ctx):
        return Verdict(Outcome.FATAL, Notify(NotifyType.INVALID_SYNTAX), "SA, KE or a proper Ni is missing")
    new = successor_of(sa, Role.RESPONDER)
    new.offered, new.nonce_i = sa_payload.proposals, nonce.data
    new.chosen = ctx.policy.choose(new.offered, sa.connection.proposals, ProtocolId.IKE, SPI_SIZE)
    if new.chosen is None or new.chosen.peer_spi == ZERO_SPI:
        return Verdict(Outcome.REFUSED, Notify(NotifyType.NO_PROPOSAL_CHOSEN), "no acceptable suite")
    new.group, new.spi_i = new.chosen.group, new.chosen.peer_spi
    if ke is not None:
        if ke.group != new.group and ctx.policy.checks(Check.KE_GROUP):
            named = Notify(NotifyType.INVALID_KE_PAYLOAD, new.group.to_bytes(2, "big"))
            return Verdict(Outcome.REFUSED, named, f"KE of group {ke.group}, {new.group} is chosen")
        agreed = respond(new.group, ke.data, ctx)
        if agreed is None:
            return Verdict(Outcome.FATAL, Notify(NotifyType.INVALID_SYNTAX), "bad public value")
        new.public_value, new.shared_secret = agreed
    ctx.pending = new
    return Verdict()


def compose_response(sa: IkeSa, message: Message, verdict: Verdict, ctx: Context) -> list[Payload]:
    """Responder: SA Nr KEr; ``verdict.new_sa`` then has its keys."""
    del message
    new = ctx.pending
    if not isinstance(new, IkeSa):
        raise TypeError("read_request comes first")
    new.spi_r = ctx.overrides.spi or ctx.random(SPI_SIZE)
    new.nonce_r = ctx.overrides.nonce or ctx.policy.nonce(ctx.random)
    answered = chosen_answer(new, ctx, new.spi_r)
    keys.derive_rekeyed(sa, new)
    new.rekey_nonces = (new.nonce_i, new.nonce_r)
    verdict.new_sa = new
    exchange = [KE(*answered_ke(new.group, new.public_value, ctx))] if new.public_value else []
    return [answered, Nonce(new.nonce_r), *exchange]


def read_response(sa: IkeSa, message: Message, ctx: Context) -> Verdict:
    """Initiator: keys of the new IKE SA, RETRY with another group, or why there is none."""
    new, error = ctx.pending, messages.first_error(message)
    if not isinstance(new, IkeSa):
        return Verdict(Outcome.REFUSED, error, "no rekeying request was composed")
    if error is not None and (message.get(SA) is None or ctx.policy.checks(Check.ERROR_FIRST)):
        group = messages.retry_group(error, groups(new.offered), new.group)
        new.group = group or new.group
        return messages.error_verdict(error, retry=group > 0)
    sa_payload, ke, nonce = message.get(SA), message.get(KE), message.get(Nonce)
    if messages.is_malformed(message, ctx) or sa_payload is None or ke is None or nonce is None:
        return Verdict(Outcome.REFUSED, None, "malformed CREATE_CHILD_SA response")
    new.chosen = ctx.policy.accept(new.offered, sa_payload, SPI_SIZE)
    if new.chosen is None or new.chosen.peer_spi == ZERO_SPI or not nonce_fits(nonce, ctx):
        return Verdict(Outcome.REFUSED, None, "the answered suite was not offered")
    secret = finish(new.shares.get(ke.group), ke.data, ctx) if ke.group == new.chosen.group else None
    if secret is None:
        return Verdict(Outcome.REFUSED, None, "KEr does not fit the chosen suite")
    new.shared_secret, new.nonce_r, new.spi_r = secret, nonce.data, new.chosen.peer_spi
    keys.derive_rekeyed(sa, new)
    new.rekey_nonces = (new.nonce_i, new.nonce_r)
    return Verdict(new_sa=new)
