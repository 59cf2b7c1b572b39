"""Impairments of IKE SAs that are set up without a Child SA (RFC 6023)."""

from ipsectest.base.iana import ExchangeType, NotifyType
from ipsectest.ike.checks import Check
from ipsectest.ike.impairment import Impairment
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import IkeSa
from ipsectest.wire import SA, Message, Notify, TSi, TSr

_SUPPORTED = NotifyType.CHILDLESS_IKEV2_SUPPORTED
_CHILD = (SA, TSi, TSr)


def _is_childless(message: Message) -> bool:
    """Whether this is an IKE_AUTH message without anything of a Child SA."""
    return message.exchange_type == ExchangeType.IKE_AUTH and not any(isinstance(p, _CHILD) for p in message.payloads)


def _announce_nothing(_: IkeSa | None, message: Message) -> None:
    message.payloads = [p for p in message.payloads if not (isinstance(p, Notify) and p.notify_type == _SUPPORTED)]


def _announce_always(_: IkeSa | None, message: Message) -> None:
    if message.is_response and message.exchange_type == ExchangeType.IKE_SA_INIT and message.get(SA) is not None:
        message.payloads.append(Notify(_SUPPORTED))


def _leave_child_out(_: IkeSa | None, message: Message) -> None:
    """A childless answer, whatever was asked for; ours is the Child SA all the same."""
    if message.exchange_type == ExchangeType.IKE_AUTH and message.is_response:
        message.payloads = [p for p in message.payloads if not isinstance(p, _CHILD)]


def _ask_for_transport(_: IkeSa | None, message: Message) -> None:
    if _is_childless(message):
        message.payloads.append(Notify(NotifyType.USE_TRANSPORT_MODE))


class _Refuses(Policy):
    def fault(self, sa: IkeSa, request: Message) -> Notify | None:
        return Notify(NotifyType.INVALID_SYNTAX) if _is_childless(request) else super().fault(sa, request)


CHILDLESS: tuple[Impairment, ...] = (
    Impairment("hides-childless", "childless IKE SAs are taken, not announced", edits=_announce_nothing),
    Impairment("announces-childless", "childless IKE SAs are announced in any case", edits=_announce_always),
    Impairment("refuses-childless", "childless IKE SAs are announced, not taken", mixin=_Refuses),
    Impairment("ignores-childless", "a childless IKE_AUTH is not answered", refuses=lambda _, m: _is_childless(m)),
    Impairment("childless-unannounced", "IKE_AUTH is childless without an announcement", (Check.CHILDLESS,)),
    Impairment("childless-answers", "IKE_AUTH is answered without a Child SA", edits=_leave_child_out),
    Impairment("childless-transport", "a childless IKE_AUTH asks for transport mode", edits=_ask_for_transport),
)
"""Faults around RFC 6023."""
