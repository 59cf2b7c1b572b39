"""What an exchange function gets besides the SA, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from ipsectest.base.clock import Instant, RandomBytes
from ipsectest.ike.config import EndpointConfig, Identity, KeyPair, SharedKey, Suite
from ipsectest.ike.negotiation import ChildNegotiation
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.ike.tasks import Task
from ipsectest.wire import Notify, Proposal, TrafficSelector


@dataclass(slots=True)
class Overrides:
    """What a script wants to be otherwise where keys depend on it; None: as a correct endpoint does.

    Everything else (reserved bits, lengths, extra payloads ...) is edited in the composed payloads.
    Each field counts for the message composed with this context, request or response.
    """

    suites: Sequence[Suite] | None = None
    """Proposals of the SA payload: suites of the IKE SA or of the Child SA, whichever is negotiated."""
    proposals: list[Proposal] | None = None
    """The same as finished payload parts; an empty ``spi`` is filled with ours."""
    group: int | None = None
    """Key exchange method of the KE payload: a fresh share of that group, whatever is offered."""
    public_value: bytes | None = None
    """Octets of the KE payload instead of our share's; the share itself stays."""
    nonce: bytes | None = None
    """Ni or Nr."""
    cookie: bytes | None = None
    """COOKIE data to send first in IKE_SA_INIT."""
    spi: bytes | None = None
    """Our SPI: 8 octets of the IKE SA (IKE_SA_INIT, IKE rekey), 4 of a Child SA."""
    identity: Identity | None = None
    """Our ID payload; AUTH covers it."""
    peer_identity: Identity | None = None
    """IDr in an IKE_AUTH request."""
    credential: SharedKey | KeyPair | None = None
    """What AUTH is computed with."""
    auth_method: int | None = None
    """Method number of AUTH; for a KeyPair also how it is computed."""
    auth_data: bytes | None = None
    """Data of AUTH instead of the computed one."""
    local_ts: Sequence[TrafficSelector] | None = None
    """Our side's selectors."""
    remote_ts: Sequence[TrafficSelector] | None = None
    """The peer's side's selectors."""
    transport: bool | None = None
    """Whether USE_TRANSPORT_MODE is sent."""


class Outcome(Enum):
    """How a message was taken."""

    OK = "ok"
    RETRY = "retry"
    """Initiator: compose the request again (COOKIE, INVALID_KE_PAYLOAD); sa or ctx.pending hold what changes."""
    CHILD_FAILED = "child failed"
    """IKE_AUTH: the IKE SA stands, its first Child SA does not (RFC 7296 section 2.21.2)."""
    REFUSED = "refused"
    """The exchange failed, an IKE SA that existed before lives on."""
    FATAL = "fatal"
    """The IKE SA ends without a Delete."""
    DROPPED = "dropped"
    """The message is to be ignored, as if it had not arrived."""


@dataclass(slots=True)
class Verdict:
    """What reading one message came to."""

    outcome: Outcome = Outcome.OK
    notify: Notify | None = None
    """Error notify due (read_request) or received (read_response)."""
    reason: str = ""
    """One line for a person."""
    child: ChildSa | None = None
    """The Child SA this exchange made, already in ``sa.children``."""
    new_sa: IkeSa | None = None
    """The IKE SA a rekey made; it has keys, children are moved by the caller."""
    deleted: tuple[ChildSa, ...] = ()
    """Child SAs the message closed; they are no longer in ``sa.children``."""
    paired: tuple[ChildSa, ...] = ()
    """read_request: those of ``deleted`` that the response names too (RFC 7296 section 1.4.1)."""
    deletes_ike: bool = False
    """The message closes the IKE SA."""
    notifies: tuple[Notify, ...] = ()
    """Other notifies of the peer, for events."""
    due: Notify | None = None
    """read_response: error notify to tell the peer in an INFORMATIONAL of its own (RFC 7296 section 2.21.2)."""
    abandon: tuple[int, bytes] | None = None
    """read_response: protocol and SPI of what the peer made and we cannot use, to be deleted; IKE: all of it."""

    @property
    def ok(self) -> bool:
        """Whether the exchange does what it was for."""
        return self.outcome is Outcome.OK


@dataclass(slots=True)
class Context:
    """One exchange: what its functions may ask, and what its first half leaves for the second."""

    config: EndpointConfig
    random: RandomBytes
    policy: Policy = field(default_factory=Policy)
    now: Instant = 0.0
    overrides: Overrides = field(default_factory=Overrides)
    task: Task | None = None
    """What a CREATE_CHILD_SA or INFORMATIONAL request is for; unused when answering."""
    attempts: int = 0
    """TEMPORARY_FAILUREs that the task met already."""
    not_before: Instant = 0.0
    """When the task may be tried."""
    initial_contact: bool = False
    """IKE_AUTH: whether INITIAL_CONTACT is sent."""
    pending: ChildNegotiation | IkeSa | None = None
    """The Child SA or rekeyed IKE SA being negotiated."""
