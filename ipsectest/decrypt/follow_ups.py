"""SAs of CREATE_CHILD_SA whose keys need the IKE_FOLLOWUP_KE exchanges behind it (RFC 9370 section 2.2.4)."""

from dataclasses import dataclass, field

from ipsectest.base.iana import NotifyType, TransformType
from ipsectest.base.suites import TransformSpec
from ipsectest.decrypt.bounded import Bounded
from ipsectest.decrypt.ike import Opened
from ipsectest.decrypt.keys.model import IkeKeys
from ipsectest.wire import Notify, Proposal

MOST_PENDING = 1024
_MOST_OCTETS = 1 << 20
_ADDITIONAL = range(TransformType.ADDKE1, TransformType.ADDKE7 + 1)


@dataclass(slots=True)
class Agreement:
    """What CREATE_CHILD_SA settled, and the secrets of the exchanges so far."""

    chosen: Proposal
    spis: tuple[bytes, bytes]
    nonces: tuple[bytes, bytes]
    ends: tuple[str, str]
    """Outer addresses: initiator and responder of the exchange."""
    keys: IkeKeys
    """Of the IKE SA of the exchange."""
    function: TransformSpec | None
    secret: bytes | None
    """Of its KE payloads; empty: there were none, None: not known."""
    more: list[bytes | None] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether every additional exchange that was agreed on has taken place."""
        return len(self.more) >= additional(self.chosen)

    @property
    def lacks_secret(self) -> bool:
        """Whether a secret is not known."""
        return self.secret is None or None in self.more

    @property
    def more_secrets(self) -> bytes:
        """SK(1) | ... | SK(n)."""
        return b"".join(secret or b"" for secret in self.more)


class FollowUps:
    """Agreements that wait, by the IKE SA and what its responder gave to link the next exchange to them."""

    def __init__(self) -> None:
        self._waiting: Bounded[tuple[bytes, bytes, bytes], Agreement] = Bounded(MOST_PENDING, _MOST_OCTETS)

    def wait(self, agreement: Agreement, response: Opened) -> bool:
        """The response tells how the next exchange will name this one; False: there will be none."""
        link = linked(response)
        if link is None:
            return False
        size = 256 + sum(len(secret or b"") for secret in agreement.more)
        self._waiting.put(_place(response, link), agreement, size)
        return True

    def take(self, request: Opened, response: Opened, secret: bytes | None) -> Agreement | None:
        """An exchange with the secret of its KE payloads; the agreement if it is complete with it."""
        link = linked(request)
        agreement = self._waiting.pop(_place(request, link)) if link is not None else None
        if agreement is None:
            return None
        agreement.more.append(secret)
        if agreement.is_complete:
            return agreement
        self.wait(agreement, response)
        return None


def additional(chosen: Proposal) -> int:
    """How many additional key exchanges a proposal has; NONE is none (RFC 9370 section 2.2.1)."""
    return sum(spec.type in _ADDITIONAL and spec.id != 0 for spec in chosen.specs)


def linked(opened: Opened) -> bytes | None:
    """The data of ADDITIONAL_KEY_EXCHANGE in a message."""
    for payload in opened.payloads:
        if isinstance(payload, Notify) and payload.notify_type == NotifyType.ADDITIONAL_KEY_EXCHANGE:
            return bytes(payload.data)
    return None


def _place(opened: Opened, link: bytes) -> tuple[bytes, bytes, bytes]:
    return opened.message.initiator_spi, opened.message.responder_spi, link
