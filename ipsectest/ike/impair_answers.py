"""Impairments that answer wrongly."""

from collections.abc import Sequence
from dataclasses import replace

from ipsectest.base.iana import (
    FIRST_STATUS_NOTIFY,
    ExchangeType,
    NotifyType,
    ProtocolId,
    TransformAttributeType,
    TransformType,
)
from ipsectest.ike.config import Suite
from ipsectest.ike.impairment import Impairment
from ipsectest.ike.policy import Policy
from ipsectest.ike.proposals import Chosen
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.wire import KE, SA, Delete, Message, Notify, Payload, Proposal, TrafficSelector


def error_of(payload: Payload) -> Notify | None:
    """The payload if it is an error notify."""
    is_error = isinstance(payload, Notify) and payload.notify_type < FIRST_STATUS_NOTIFY
    return payload if isinstance(payload, Notify) and is_error else None


def _say_no_proposal_chosen(_: IkeSa | None, message: Message) -> None:
    if message.is_response:
        other = Notify(NotifyType.NO_PROPOSAL_CHOSEN)
        message.payloads = [p if error_of(p) is None else other for p in message.payloads]


def _hide_transport(_: IkeSa | None, message: Message) -> None:
    message.payloads = [p for p in message.payloads if p is not message.notify(NotifyType.USE_TRANSPORT_MODE)]


def _number_one(_: IkeSa | None, message: Message) -> None:
    for proposal in _answered(message):
        proposal.number = 1


def _other_key_length(_: IkeSa | None, message: Message) -> None:
    for proposal in _answered(message):
        for transform in proposal.transforms:
            if transform.type == TransformType.ENCR:
                for attribute in transform.attributes:
                    if attribute.type == TransformAttributeType.KEY_LENGTH:
                        attribute.value = 256 if attribute.value == 192 else 192


def _answered(message: Message) -> list[Proposal]:
    answered = message.get(SA) if message.is_response else None
    return answered.proposals if answered else []


def _forget_group(_: IkeSa | None, message: Message) -> None:
    notify = message.notify(NotifyType.INVALID_KE_PAYLOAD)
    if notify is not None:
        notify.data = b""


def _forget_spi(_: IkeSa | None, message: Message) -> None:
    notify = message.notify(NotifyType.CHILD_SA_NOT_FOUND)
    if notify is not None:
        notify.protocol, notify.spi = 0, b""


def _name_no_payload(_: IkeSa | None, message: Message) -> None:
    notify = message.notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD)
    if notify is not None:
        notify.data = b"\0"


def _omit_ke(_: IkeSa | None, message: Message) -> None:
    if message.is_response and message.exchange_type == ExchangeType.CREATE_CHILD_SA:
        message.payloads = [p for p in message.payloads if not isinstance(p, KE)]


def _misaddress(_: IkeSa | None, message: Message) -> None:
    if message.notify(NotifyType.INVALID_IKE_SPI) is not None:
        message.message_id = 0xFFFFFFFF
        message.initiator_spi, message.responder_spi = message.responder_spi, message.initiator_spi


class _AllTransforms(Policy):
    def choose(
        self, offered: Sequence[Proposal], wanted: Sequence[Suite], protocol: int, spi_size: int
    ) -> Chosen | None:
        chosen = super().choose(offered, wanted, protocol, spi_size)
        source = next((p for p in offered if chosen and p.number == chosen.number), None)
        return replace(chosen, shown=source.specs) if chosen and source else chosen


class _PairsEveryDelete(Policy):
    def answer_deletes(self, sa: IkeSa, request: Message, paired: Sequence[ChildSa]) -> list[tuple[int, bytes]]:
        pairs = {child.spi_out: child.spi_in for child in (*paired, *sa.children.values())}
        asked = [(d.protocol, spi) for d in request.all(Delete) if d.protocol != ProtocolId.IKE for spi in d.spis]
        return [(protocol, pairs.get(spi, spi)) for protocol, spi in asked]


class _PairsNoDelete(Policy):
    def answer_deletes(self, sa: IkeSa, request: Message, paired: Sequence[ChildSa]) -> list[tuple[int, bytes]]:
        del sa, request, paired
        return []


class _AnswersBadMessageIds(Policy):
    def out_of_window(self, request: Message) -> list[Payload] | None:
        return [Notify(NotifyType.INVALID_MESSAGE_ID, request.message_id.to_bytes(4, "big"))]


class _Fragile(Policy):
    def survives_failed_child(self) -> bool:
        return False


class _OtherPart(Policy):
    """Narrows to the last address of what is allowed, which leaves the first selector out."""

    def narrow(self, offered: Sequence[TrafficSelector], allowed: Sequence[TrafficSelector]) -> list[TrafficSelector]:
        healthy = super().narrow(offered, allowed)
        return [replace(healthy[-1], start=healthy[-1].end)] if healthy else []


ANSWERS: tuple[Impairment, ...] = (
    Impairment("answers-no-proposal-chosen", "every error is NO_PROPOSAL_CHOSEN", edits=_say_no_proposal_chosen),
    Impairment("answers-all-transforms", "the answered SA repeats the whole proposal", mixin=_AllTransforms),
    Impairment("answers-proposal-number-one", "the answered proposal has number 1", edits=_number_one),
    Impairment("answers-other-key-length", "the answered Key Length is another one", edits=_other_key_length),
    Impairment("invalid-ke-without-group", "INVALID_KE_PAYLOAD names no group", edits=_forget_group),
    Impairment("hides-transport", "USE_TRANSPORT_MODE is never sent", edits=_hide_transport),
    Impairment("child-failure-kills-ike-sa", "a failed Child SA ends the IKE SA", mixin=_Fragile),
    Impairment("pairs-every-delete", "every Delete is answered with a Delete", mixin=_PairsEveryDelete),
    Impairment("deletes-without-pair", "a Delete is answered empty", mixin=_PairsNoDelete),
    Impairment("child-not-found-without-spi", "CHILD_SA_NOT_FOUND names no SA", edits=_forget_spi),
    Impairment("omits-ke-in-answer", "no KE in the CREATE_CHILD_SA answer", edits=_omit_ke),
    Impairment("unknown-payload-wrong-data", "UNSUPPORTED_CRITICAL_PAYLOAD names payload 0", edits=_name_no_payload),
    Impairment(
        "protects-invalid-message-id", "requests out of the window are answered with INVALID_MESSAGE_ID",
        mixin=_AnswersBadMessageIds,
    ),
    Impairment("answers-unknown-spi-in-vain", "INVALID_IKE_SPI goes to nobody", edits=_misaddress),
    Impairment("narrows-to-other-part", "narrowing leaves the first selector out", mixin=_OtherPart),
)  # fmt: skip
"""Faults of responses."""
