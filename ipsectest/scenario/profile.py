"""How a vendor's gateway or client speaks: what a file of ``scenarios/profiles/`` says (docs/profiles.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ipsectest.ike.config import Suite
from ipsectest.scenario.ports import Authentication

ROLES = ("initiator", "responder")
MODES = ("tunnel", "transport")
ENCAPSULATIONS = ("plain", "udp")
IPS = ("v4", "v6", "v4-in-v6", "v6-in-v4")
IDENTITIES = ("address", "fqdn", "dn")
LIVENESS_ACTIONS = ("clear", "restart", "none")


@dataclass(frozen=True, slots=True)
class Offer:
    """What it offers and takes for one kind of SA; times in seconds."""

    proposals: tuple[Suite, ...]
    """As initiator, in its order."""
    accepts: tuple[Suite, ...]
    """As responder."""
    lifetime: float = 0.0
    """0: not documented."""
    margin: float = 0.0
    """How long before the end of its lifetime it rekeys an SA."""
    rekeys: bool = False
    """Whether it rekeys by itself at the end of the lifetime."""
    octets: int = 0
    """Octets that one Child SA may carry; 0: no limit is documented."""
    group: int = 0
    """Key exchange method of the first KE payload; 0: the first that is offered."""

    def of(self, role: str) -> tuple[Suite, ...]:
        """The proposals in a role."""
        return self.proposals if role == ROLES[0] else self.accepts


@dataclass(frozen=True, slots=True)
class Liveness:
    """Its checks whether the peer is alive (RFC 7296 section 2.4); seconds."""

    interval: float = 0.0
    """0: it never asks by itself."""
    timeout: float = 0.0
    action: str = ""
    """What follows: ``clear``, ``restart``, ``none``; empty: not documented."""


@dataclass(frozen=True, slots=True)
class Announcements:
    """What it says in IKE_SA_INIT and IKE_AUTH beside what every endpoint does."""

    ike_sa_init: tuple[int, ...] = ()
    """Notify types without data."""
    ike_auth: tuple[int, ...] = ()
    vendor_ids: tuple[bytes, ...] = ()
    """VendorID payloads of its IKE_SA_INIT."""
    configuration: tuple[int, ...] = ()
    """Attribute types of the CFG_REQUEST in its IKE_AUTH request; none: it has no CP payload."""
    signature_hashes: bool = True
    """Whether it has SIGNATURE_HASH_ALGORITHMS (RFC 7427); without it signs as RFC 7296 section 3.8 says."""
    initial_contact: bool = True
    responder_identity: bool = True
    """Whether its IKE_AUTH request has an IDr payload."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One gateway or client with the defaults that its vendor documents."""

    name: str
    path: Path
    title: str
    sources: tuple[str, ...]
    """Public documents with their dates, from which the facts are."""
    roles: tuple[str, ...]
    modes: tuple[str, ...]
    encapsulations: tuple[str, ...]
    ips: tuple[str, ...]
    selectors: tuple[str, ...]
    """Prefixes that it offers and takes on both sides (route based); none: what it protects (policy based)."""
    identities: Mapping[Authentication, str]
    """How it authenticates -> the kind of ID payload that goes with it."""
    ike: Offer
    esp: Offer
    liveness: Liveness = field(default_factory=Liveness)
    announces: Announcements = field(default_factory=Announcements)
