"""A Child SA in the making: what the halves of an exchange leave for each other."""

from dataclasses import dataclass, field

from ipsectest.crypto import KeyShare
from ipsectest.ike.config import ChildConfig, Mode
from ipsectest.ike.proposals import Chosen
from ipsectest.ike.sa import ChildSa, RealAddresses
from ipsectest.wire import Proposal, TrafficSelector


@dataclass(eq=False, slots=True)
class ChildNegotiation:
    """State of one offer, at either end."""

    config: ChildConfig
    is_initiator: bool
    """Whether we started the exchange."""
    spi_in: bytes = b""
    offered: list[Proposal] = field(default_factory=list)
    chosen: Chosen | None = None
    rekeys: ChildSa | None = None
    mode: Mode = Mode.TUNNEL
    nonce_i: bytes = b""
    nonce_r: bytes = b""
    group: int = 0
    """Key exchange method of the KE payload, 0 without one."""
    shares: dict[int, KeyShare] = field(default_factory=dict)
    """Our key shares by group, as initiator."""
    public_value: bytes = b""
    """Our KE payload data as responder."""
    shared_secret: bytes = b""
    local_ts: list[TrafficSelector] = field(default_factory=list)
    remote_ts: list[TrafficSelector] = field(default_factory=list)
    real: RealAddresses | None = None
    """As in ``ChildSa``."""
