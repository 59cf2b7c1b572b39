"""What of a sent line the keys depend on: the engine is told before it composes, so all stays consistent."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ipsectest.base.iana import NotifyType, PayloadType
from ipsectest.ike.config import SharedKey
from ipsectest.ike.context import Overrides
from ipsectest.ike.policy import NONCE_LENGTH
from ipsectest.ike.sa import IkeSa
from ipsectest.scenario.association import Association
from ipsectest.scenario.model import MessagePattern, PayloadItem
from ipsectest.scenario.session import Session
from ipsectest.scenario.values import Values


@dataclass(slots=True)
class Overriding:
    """Fills the overrides for one message of ours."""

    session: Session
    sa: IkeSa
    values: Values
    request: bool
    over: Overrides

    def apply(self, pattern: MessagePattern) -> Overrides:
        """The overrides of a line."""
        for item in pattern.items:
            if item.notify == NotifyType.USE_TRANSPORT_MODE:
                self.over.transport = item.action != "-"
            elif not item.action and not item.place and item.type in _METHODS:
                _METHODS[item.type](self, item)
        return self.over

    def _offer(self, item: PayloadItem) -> None:
        if item.offer is not None:
            suites = [p.suite for p in item.offer.proposals if p.suite is not None]
            self.over.suites = suites or self.over.suites

    def _group(self, item: PayloadItem) -> None:
        self.over.group = self.over.group if item.group is None else item.group

    def _nonce(self, item: PayloadItem) -> None:
        if not item.edits:
            return
        current = (self.sa.nonce_i if self.request else b"") or self.session.random(NONCE_LENGTH)
        for edit in item.edits:
            if edit.name == "data":
                self.over.nonce = self.values.octets(edit.operand, current)
            elif edit.name == "size":
                self.over.nonce = self.session.random(self.values.number(edit.operand, len(current)))

    def _identity(self, item: PayloadItem) -> None:
        if item.identity is None and not item.edits:
            return
        identity = self.session.identity(item)
        for edit in item.edits:
            if edit.name == "data":
                identity = replace(identity, data=self.values.octets(edit.operand, identity.data))
            elif edit.name == "id_type":
                identity = replace(identity, type=self.values.number(edit.operand, identity.type))
        if (item.type == PayloadType.IDi) == self.sa.is_initiator:
            self.over.identity = identity
        else:
            self.over.peer_identity = identity

    def _proof(self, item: PayloadItem) -> None:
        self.over.credential = None if item.secret is None else SharedKey(item.secret)
        self.over.auth_method = item.method

    def _selectors(self, item: PayloadItem) -> None:
        written = [self.session.selector(words) for words in item.selectors]
        if not written:
            return
        if (item.type == PayloadType.TSi) == self.request:  # the initiator of the exchange is the source of TSi
            self.over.local_ts = written
        else:
            self.over.remote_ts = written


_METHODS: dict[int, Callable[[Overriding, PayloadItem], None]] = {
    PayloadType.SA: Overriding._offer,  # noqa: SLF001 - a table of this class
    PayloadType.KE: Overriding._group,  # noqa: SLF001
    PayloadType.NONCE: Overriding._nonce,  # noqa: SLF001
    PayloadType.IDi: Overriding._identity,  # noqa: SLF001
    PayloadType.IDr: Overriding._identity,  # noqa: SLF001
    PayloadType.AUTH: Overriding._proof,  # noqa: SLF001
    PayloadType.TSi: Overriding._selectors,  # noqa: SLF001
    PayloadType.TSr: Overriding._selectors,  # noqa: SLF001
}


def further_try(association: Association) -> Overrides:
    """What a repeated IKE_SA_INIT request keeps; after INVALID_KE_PAYLOAD the group is the one demanded."""
    init = association.init
    if init is None:
        return Overrides()
    over = replace(init.context.overrides)
    if init.response is not None and init.response.notify(NotifyType.INVALID_KE_PAYLOAD):
        over.group = None
    return over
