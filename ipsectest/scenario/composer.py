"""Sent lines -> messages: what a correct endpoint would send, with what the line says otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import Instant
from ipsectest.base.iana import AuthenticationMethod, ExchangeType, NotifyType, PayloadType, ProtocolId, TransformType
from ipsectest.crypto import signature
from ipsectest.crypto.keys import psk_auth
from ipsectest.ike import auth
from ipsectest.ike.config import SharedKey, Suite
from ipsectest.ike.context import Context, Outcome, Overrides, Verdict
from ipsectest.ike.exchanges import EXCHANGES
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.ike.tasks import (
    CreateChild,
    DeleteChildren,
    DeleteIke,
    Inform,
    Initiate,
    Liveness,
    RekeyChild,
    RekeyIke,
    Task,
)
from ipsectest.scenario.association import Association, Exchange, on_wire
from ipsectest.scenario.model import ChildSpi, MessagePattern, Modifiers, PayloadItem
from ipsectest.scenario.octets import force_header, is_protected, plain_octets, sealed_octets
from ipsectest.scenario.operands import HASHES
from ipsectest.scenario.overrides import Overriding, further_try
from ipsectest.scenario.session import Labelled, Session
from ipsectest.scenario.steps import SendStep
from ipsectest.scenario.values import Values
from ipsectest.wire import AUTH, KE, SA, Identification, Message, Nonce, Notify, Payload, payload_name

_SELF_MADE = frozenset(
    {PayloadType.N, PayloadType.D, PayloadType.V, PayloadType.CP, PayloadType.EAP, PayloadType.CERTREQ}
)
"""Payloads that need nothing of the exchange."""


class CannotAnswerError(LookupError):
    """A correct endpoint would refuse the peer's request, so ``...`` means nothing here."""


@dataclass(slots=True)
class Composer:
    """Builds the messages of ``->`` lines in one session."""

    session: Session

    # Requests -------------------------------------------------------------------------------------------------------

    def request(self, step: SendStep, pattern: MessagePattern, now: Instant) -> Exchange:
        """Our request; LookupError if something it refers to is not there."""
        association = self._association(step, pattern)
        sa, init = association.sa, pattern.exchange == ExchangeType.IKE_SA_INIT
        values = self.session.values(by_us=True)
        context = association.init.context if init and association.init else self.session.context(now)
        context.now = now
        context.task = self._task(association, pattern)
        base = further_try(association) if init else Overrides()
        context.overrides = Overriding(self.session, sa, values, request=True, over=base).apply(pattern)
        composed = self._composed_request(association, pattern, context)
        payloads = self._payloads(association, pattern, composed, values, context, request=True)
        message_id = 0 if init else sa.next_request_id
        message = sa.header(pattern.exchange, message_id)
        if init:
            message.responder_spi = bytes(8)
        message.payloads = payloads[::-1] if step.modifiers.reversed else payloads
        octets = self._octets(association, message, pattern, step.modifiers, values)
        if init:
            sa.sent(octets)
        source, destination = self._addresses(association, step.modifiers, sa.local, sa.remote)
        exchange = Exchange(
            step.key, association, pattern.exchange, message.message_id, True, context, message,
            [on_wire(octets, source, destination)], step.line, header_spi=message.initiator_spi,
        )  # fmt: skip
        if message.message_id == message_id and not init and step.answered:
            sa.next_request_id += 1
            exchange.taken_id = True
        association.exchanges.append(exchange)
        if context.task is not None:
            sa.outstanding.append(context.task)
        if init:
            association.init = exchange
        return exchange

    def _association(self, step: SendStep, pattern: MessagePattern) -> Association:
        """The IKE SA of a request; IKE_SA_INIT begins one unless it is a further try."""
        session = self.session
        known = session.associations.get(step.sa)
        if pattern.exchange == ExchangeType.IKE_SA_INIT and (known is None or known.sa.keys is not None):
            known = Association(step.sa, IkeSa.initiator(session.connection, session.random))
            session.associations[step.sa] = known
        if known is None:
            raise LookupError(f"there is no IKE SA {step.sa!r} (yet)")
        _pretend_nat(known, step, pattern)
        return known

    def _task(self, association: Association, pattern: MessagePattern) -> Task | None:
        """What a correct endpoint would have in mind with such a request."""
        if pattern.exchange == ExchangeType.CREATE_CHILD_SA:
            offer = pattern.item(PayloadType.SA)
            if offer is not None and offer.offer is not None and offer.offer.protocol == ProtocolId.IKE:
                return RekeyIke()
            rekeys = pattern.item(PayloadType.N, NotifyType.REKEY_SA)
            child = self._named_child(rekeys) if rekeys is not None else None
            return CreateChild(association.sa.connection.children[0]) if child is None else RekeyChild(child)
        if pattern.exchange == ExchangeType.INFORMATIONAL:
            return self._informational_task(association, pattern)
        return None

    def _named_child(self, item: PayloadItem) -> ChildSa | None:
        for edit in item.edits:
            if edit.name == "spi" and isinstance(edit.operand, ChildSpi):
                return self.session.children.get(edit.operand.child)
        return None

    def _informational_task(self, association: Association, pattern: MessagePattern) -> Task:
        delete = pattern.item(PayloadType.D)
        if delete is None:
            return Inform(()) if pattern.items else Liveness()
        if delete.delete == ProtocolId.IKE:
            return DeleteIke()
        named = [spi.child for spi in delete.spis if isinstance(spi, ChildSpi) and spi.side in {"sender", "ours"}]
        children = [self.session.children[name] for name in named if name in self.session.children]
        return DeleteChildren(tuple(c for c in children if c.spi_in in association.sa.children))

    def _composed_request(self, association: Association, pattern: MessagePattern, context: Context) -> list[Payload]:
        module = EXCHANGES.get(pattern.exchange)
        if module is None or not _needs_composing(pattern):
            return []
        if is_protected(pattern.exchange) and association.sa.keys is None:
            raise LookupError("the IKE SA has no keys")
        return self._announced(module.compose_request(association.sa, context))

    def _announced(self, payloads: list[Payload]) -> list[Payload]:
        """With ``tester.hashes`` the announcement of RFC 7427 section 4 lists those."""
        if names := self.session.ends.hashes:
            for payload in payloads:
                if isinstance(payload, Notify) and payload.notify_type == NotifyType.SIGNATURE_HASH_ALGORITHMS:
                    payload.data = b"".join(HASHES[name].to_bytes(2, "big") for name in names)
        return payloads

    # Responses ------------------------------------------------------------------------------------------------------

    def response(self, step: SendStep, pattern: MessagePattern, now: Instant) -> Exchange:
        """Our response to the peer's request that the line answers, or one nobody asked for."""
        exchange = self._answered(step, now)
        association = exchange.association
        _pretend_nat(association, step, pattern)
        values = self.session.values(by_us=True)
        context = exchange.context
        context.now = now
        sa = association.sa
        context.overrides = Overriding(self.session, sa, values, request=False, over=Overrides()).apply(pattern)
        verdict = Verdict()
        composed: list[Payload] = []
        module = EXCHANGES.get(exchange.exchange_type)
        if module is not None and exchange.arrival is not None and _needs_composing(pattern):
            verdict = exchange.verdict = self._read(exchange)
            exchange.processed = True
            if verdict.outcome in {Outcome.REFUSED, Outcome.FATAL} and not pattern.ellipsis:
                raise CannotAnswerError(f"a correct endpoint refuses the request: {verdict.reason}")
            composed = self._announced(module.compose_response(association.sa, exchange.request, verdict, context))
        payloads = self._payloads(association, pattern, composed, values, context, request=False)
        message = sa.header(pattern.exchange, exchange.message_id, response=True)
        if pattern.exchange == ExchangeType.IKE_SA_INIT and not any(isinstance(p, SA) for p in payloads):
            message.responder_spi = bytes(8)
        message.payloads = payloads[::-1] if step.modifiers.reversed else payloads
        octets = self._octets(association, message, pattern, step.modifiers, values)
        if pattern.exchange == ExchangeType.IKE_SA_INIT and composed:
            sa.sent(octets)
        came = exchange.arrival.datagram if exchange.arrival else None
        local, remote = (came.destination, came.source) if came else (sa.local, sa.remote)
        source, destination = self._addresses(association, step.modifiers, local, remote)
        exchange.response = message
        exchange.response_datagrams = [on_wire(octets, source, destination)]
        self.session.labels.setdefault(step.key, _labelled(message, exchange))
        if exchange.processed:
            self.session.adopt(exchange, verdict)
        return exchange

    def _read(self, exchange: Exchange) -> Verdict:
        """Negotiate. In IKE_SA_INIT the suite that the line writes is tried first, then one with the group of KE."""
        sa, module = exchange.association.sa, EXCHANGES[exchange.exchange_type]
        if exchange.verdict is not None and exchange.exchange_type == ExchangeType.INFORMATIONAL:
            return exchange.verdict  # what it deletes is gone, but a second answer still has to say so
        if exchange.exchange_type == ExchangeType.IKE_SA_INIT:
            ordinary = self.session.connection
            for proposals in (exchange.context.overrides.suites, _with_group(exchange.request, ordinary.proposals)):
                sa.connection = replace(ordinary, proposals=tuple(proposals or ordinary.proposals))
                verdict = module.read_request(sa, exchange.request, exchange.context)
                if verdict.ok:
                    return verdict
            sa.connection = ordinary
        return module.read_request(sa, exchange.request, exchange.context)

    def _answered(self, step: SendStep, now: Instant) -> Exchange:
        if step.answers:
            labelled = self.session.labels.get(step.answers)
            if labelled is None or labelled.exchange is None:
                raise LookupError(f"the request {step.answers!r} did not come")
            return labelled.exchange
        association = self.session.named(step.sa)
        sa = association.sa
        empty = sa.header(0, sa.next_expected_id)
        return Exchange(step.key, association, 0, sa.next_expected_id, False, self.session.context(now), empty, [])

    # Common parts ---------------------------------------------------------------------------------------------------

    def _payloads(
        self,
        association: Association,
        pattern: MessagePattern,
        composed: list[Payload],
        values: Values,
        context: Context,
        *,
        request: bool,
    ) -> list[Payload]:
        payloads = self.session.workshop(values).assemble(composed, pattern.items, ellipsis=pattern.ellipsis)
        for payload in payloads:
            if isinstance(payload, Nonce) and context.overrides.nonce is not None:
                payload.data = context.overrides.nonce
        if pattern.exchange == ExchangeType.IKE_AUTH:
            self._sign_again(association.sa, payloads, pattern, context)
        if request and pattern.exchange == ExchangeType.IKE_SA_INIT:
            offer = next((p for p in payloads if isinstance(p, SA)), None)
            association.sa.offered = offer.proposals if offer is not None else association.sa.offered
        return payloads

    def _sign_again(self, sa: IkeSa, payloads: Sequence[Payload], pattern: MessagePattern, context: Context) -> None:
        """AUTH covers the whole body of our ID payload, reserved octets included (RFC 7296 section 2.15)."""
        kind = PayloadType.IDi if sa.is_initiator else PayloadType.IDr
        identification = next((p for p in payloads if isinstance(p, Identification) and p.type == kind), None)
        proof = next((p for p in payloads if isinstance(p, AUTH)), None)
        written = pattern.item(PayloadType.AUTH)
        if identification is None or proof is None or not identification.body_reserved or sa.chosen is None:
            return
        if written is not None and written.edits:
            return
        octets = auth.octets_to_sign(sa, auth.body_of(identification), of_initiator=sa.is_initiator)
        credential = context.overrides.credential or sa.connection.local_auth
        if isinstance(credential, SharedKey):
            proof.data = psk_auth(sa.chosen.prf, credential.secret, octets)
        else:
            pss = proof.method == AuthenticationMethod.DIGITAL_SIGNATURE
            proof.data = signature.sign(credential.key, octets, proof.method, pss=pss)

    def _octets(
        self, association: Association, message: Message, pattern: MessagePattern, modifiers: Modifiers, values: Values
    ) -> bytes:
        force_header(message, pattern.header, values)
        if modifiers.unencrypted or not is_protected(pattern.exchange):
            return plain_octets(message, pattern.header, values)
        workshop = self.session.workshop(values)
        outside = workshop.outside(pattern.items, "before"), workshop.outside(pattern.items, "after")
        return sealed_octets(
            association.sa, message, values, header=pattern.header, protection=pattern.protection, outside=outside
        )

    def _addresses(
        self, association: Association, modifiers: Modifiers, local: Address, remote: Address
    ) -> tuple[Address, Address]:
        """Where a message goes out and whereto, port words applied."""
        del association
        place = self.session.place
        if modifiers.source in {"500", "4500"}:
            local = Address(local.host, int(modifiers.source))
            remote = Address(remote.host, int(modifiers.source))
        elif modifiers.source == "other":
            if not place.other_port:
                raise LookupError("the tester has no other port here")
            local = Address(local.host, place.other_port)
        elif modifiers.source == "elsewhere":
            if not place.elsewhere:
                raise LookupError("the tester has no second address here")
            local = Address(place.elsewhere, local.port)
        if modifiers.destination in {"500", "4500"}:
            remote = Address(remote.host, int(modifiers.destination))
        return local, remote

    # Without a script -----------------------------------------------------------------------------------------------

    def background_answer(self, exchange: Exchange, now: Instant) -> list[Datagram]:
        """The correct response to a request that no line expects."""
        module = EXCHANGES.get(exchange.exchange_type)
        association, context = exchange.association, exchange.context
        sa = association.sa
        context.now = now
        payloads: list[Payload] = []
        verdict = Verdict()
        if module is not None and exchange.exchange_type != ExchangeType.IKE_SA_INIT:
            verdict = module.read_request(sa, exchange.request, context)
            payloads = module.compose_response(sa, exchange.request, verdict, context)
        exchange.processed = True
        message = sa.header(exchange.exchange_type, exchange.message_id, response=True)
        message.payloads = payloads
        octets = sealed_octets(sa, message, self.session.values(by_us=True))
        came = exchange.arrival.datagram if exchange.arrival else None
        local, remote = (came.destination, came.source) if came else (sa.local, sa.remote)
        exchange.response = message
        exchange.response_datagrams = [on_wire(octets, local, remote)]
        self.session.adopt(exchange, verdict)
        return exchange.response_datagrams

    def delete(self, association: Association, now: Instant) -> Exchange:
        """The INFORMATIONAL that closes an IKE SA when a case is over."""
        return self._unscripted(association, ExchangeType.INFORMATIONAL, DeleteIke(), now)

    def authenticate(self, association: Association, now: Instant) -> Exchange:
        """The IKE_AUTH that a script left out: what is established can be deleted, what is half-open cannot."""
        return self._unscripted(association, ExchangeType.IKE_AUTH, Initiate(), now)

    def _unscripted(self, association: Association, exchange_type: int, task: Task, now: Instant) -> Exchange:
        sa = association.sa
        context = self.session.context(now)
        context.task = task
        message = sa.header(exchange_type, sa.take_message_id())
        message.payloads = EXCHANGES[exchange_type].compose_request(sa, context)
        octets = sealed_octets(sa, message, self.session.values(by_us=True))
        exchange = Exchange(
            "", association, exchange_type, message.message_id, True, context, message,
            [on_wire(octets, sa.local, sa.remote)], header_spi=message.initiator_spi,
        )  # fmt: skip
        association.exchanges.append(exchange)
        return exchange


def _needs_composing(pattern: MessagePattern) -> bool:
    """Whether a line uses what a correct endpoint would send, or consists of payloads that stand alone."""
    if pattern.ellipsis:
        return True
    return any(item.type not in _SELF_MADE and item.name != "PAYLOAD" and not item.place for item in pattern.items)


def _with_group(request: Message, proposals: Sequence[Suite]) -> list[Suite]:
    """Our suites without the groups that the KE payload of a request is not of."""
    ke = request.get(KE)
    group = ke.group if ke is not None else 0
    kind = TransformType.KE
    return [
        tuple(s for s in suite if s.type != kind or s.id == group)
        for suite in proposals
        if group in {s.id for s in suite if s.type == kind}
    ]


def _pretend_nat(association: Association, step: SendStep, pattern: MessagePattern) -> None:
    """A wrong NAT detection hash makes the peer see a NAT; then we behave as if it were there."""
    if step.nat:
        types = {item.notify for item in pattern.items if item.edits}
        association.pretends_local_nat |= NotifyType.NAT_DETECTION_SOURCE_IP in types
        association.pretends_remote_nat |= NotifyType.NAT_DETECTION_DESTINATION_IP in types


def _labelled(message: Message, exchange: Exchange) -> Labelled:
    return Labelled(message, exchange.response_datagrams, exchange)


def shown(message: Message) -> str:
    """A message as a ladder shows it."""
    names = [payload_name(p, is_response=message.is_response) for p in message.payloads]
    try:
        exchange = ExchangeType(message.exchange_type).name
    except ValueError:
        exchange = f"EXCHANGE({message.exchange_type})"
    return " ".join([exchange, *names])
