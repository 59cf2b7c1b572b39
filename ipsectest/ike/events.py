"""What an endpoint tells the outside, one small dataclass per event, and why it dropped a datagram."""

from dataclasses import dataclass
from enum import StrEnum

from ipsectest.base.addresses import Address
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.wire import Notify


class DropReason(StrEnum):
    """Why a datagram or message led to nothing; the value is the word shown to users."""

    NOT_IKE = "not-ike"
    """On port 4500 without the non-ESP marker: ESP or a keepalive."""
    TOO_SHORT = "too-short"
    LENGTH = "length-mismatch"
    MAJOR_VERSION = "major-version"
    NOT_ADDRESSED = "not-addressed-to-us"
    UNKNOWN_SPI = "unknown-spi"
    ZERO_SPI = "zero-spi"
    NO_CONNECTION = "no-connection"
    STALE_INIT = "stale-ike-sa-init"
    """A retransmitted IKE_SA_INIT request of an IKE SA that is past it (RFC 7296 section 2.1)."""
    UNPROTECTED = "unprotected"
    BAD_ICV = "bad-icv"
    BAD_PADDING = "bad-padding"
    SK_PLACE = "sk-not-last"
    NO_KEYS = "no-keys"
    MESSAGE_ID = "message-id"
    NOT_A_RETRANSMISSION = "not-a-retransmission"
    UNSOLICITED_RESPONSE = "unsolicited-response"
    UNEXPECTED = "unexpected-in-state"
    MALFORMED = "malformed"
    UNACCEPTABLE = "unacceptable"
    """An unprotected response that we cannot use: the true one may still come (RFC 7296 section 2.21.1)."""
    RATE = "rate-limited"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Drop:
    """A message that is not to be acted upon."""

    reason: DropReason
    text: str = ""


@dataclass(frozen=True, slots=True)
class IkeEstablished:
    """An IKE SA is up; ``sa`` has SPIs, suite, identities and keys."""

    sa: IkeSa
    rekeyed_from: IkeSa | None = None
    """The IKE SA it replaces, if it came from a rekey."""


@dataclass(frozen=True, slots=True)
class IkeClosed:
    """An IKE SA is gone, and with it its Child SAs unless a successor took them."""

    sa: IkeSa
    reason: str


@dataclass(frozen=True, slots=True)
class ChildOffered:
    """A request that offers this SPI is about to leave: who answers it may use the SPI before we have the answer.

    RFC 7296 section 2.8. Packets for it that come meanwhile can be kept until ``OfferEnded``.
    """

    sa: IkeSa
    spi: bytes


@dataclass(frozen=True, slots=True)
class OfferEnded:
    """No response is awaited any more that could make a Child SA of this SPI; ``ChildInstalled`` came before."""

    sa: IkeSa
    spi: bytes


@dataclass(frozen=True, slots=True)
class ChildInstalled:
    """A Child SA is to be installed: inbound at once, outbound too unless ``child.replaces`` is still in use."""

    sa: IkeSa
    child: ChildSa
    local: Address
    """Outer address of our end; with a port when ESP travels in UDP (RFC 3948)."""
    remote: Address

    @property
    def udp_ports(self) -> tuple[int, int] | None:
        """(local, remote) port of UDP encapsulation, None for plain ESP."""
        return (self.local.port, self.remote.port) if self.local.port else None


@dataclass(frozen=True, slots=True)
class ChildRekeyed:
    """``new`` takes the outbound traffic of ``old``, which is about to be deleted."""

    sa: IkeSa
    old: ChildSa
    new: ChildSa


@dataclass(frozen=True, slots=True)
class ChildRemoved:
    """A Child SA is to be removed in both directions."""

    sa: IkeSa
    child: ChildSa
    reason: str


@dataclass(frozen=True, slots=True)
class ExchangeFailed:
    """A verb did not do what it was for; the IKE SA lives on."""

    sa: IkeSa
    task: object
    reason: str
    notify: Notify | None = None


@dataclass(frozen=True, slots=True)
class ExchangeDone:
    """A verb has been answered as hoped."""

    sa: IkeSa
    task: object


@dataclass(frozen=True, slots=True)
class PeerNotify:
    """The peer sent a notify that is not part of the exchange's own course."""

    sa: IkeSa
    notify: Notify


@dataclass(frozen=True, slots=True)
class PeerMoved:
    """The peer's address or port changed (RFC 7296 section 2.23)."""

    sa: IkeSa
    old: Address
    new: Address


@dataclass(frozen=True, slots=True)
class Dropped:
    """A datagram was dropped."""

    drop: Drop
    source: Address
    destination: Address
    data: bytes


Event = (
    IkeEstablished | IkeClosed | ChildOffered | OfferEnded | ChildInstalled | ChildRekeyed | ChildRemoved
    | ExchangeFailed | ExchangeDone | PeerNotify | PeerMoved | Dropped
)  # fmt: skip
