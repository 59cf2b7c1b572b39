"""Which module plays which exchange."""

from typing import Protocol

from ipsectest.base.iana import ExchangeType
from ipsectest.ike import create_child_sa, ike_auth, ike_sa_init, informational
from ipsectest.ike.context import Context, Verdict
from ipsectest.ike.sa import IkeSa
from ipsectest.wire import Message, Payload


class Exchange(Protocol):
    """The four functions of an exchange; see the room's docstring."""

    def compose_request(self, sa: IkeSa, ctx: Context) -> list[Payload]:
        """What a correct initiator of the exchange sends, overrides applied."""
        ...

    def read_request(self, sa: IkeSa, message: Message, ctx: Context) -> Verdict:
        """What the responder of the exchange makes of it."""
        ...

    def compose_response(self, sa: IkeSa, message: Message, verdict: Verdict, ctx: Context) -> list[Payload]:
        """What a correct responder answers, overrides applied."""
        ...

    def read_response(self, sa: IkeSa, message: Message, ctx: Context) -> Verdict:
        """What the initiator of the exchange makes of it."""
        ...


EXCHANGES: dict[int, Exchange] = {
    ExchangeType.IKE_SA_INIT: ike_sa_init,
    ExchangeType.IKE_AUTH: ike_auth,
    ExchangeType.CREATE_CHILD_SA: create_child_sa,
    ExchangeType.INFORMATIONAL: informational,
}
