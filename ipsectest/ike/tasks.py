"""What a CREATE_CHILD_SA or INFORMATIONAL request is for: the ``task`` of a Context."""

from dataclasses import dataclass

from ipsectest.ike.config import ChildConfig
from ipsectest.ike.sa import ChildSa
from ipsectest.wire import Payload


@dataclass(frozen=True, slots=True)
class Initiate:
    """IKE_SA_INIT and IKE_AUTH: set the IKE SA up."""

    first: ChildConfig | None = None
    """The Child SA that comes with it; None: the first one of the connection."""


@dataclass(frozen=True, slots=True)
class CreateChild:
    """CREATE_CHILD_SA for another Child SA (RFC 7296 section 1.3.1)."""

    config: ChildConfig


@dataclass(frozen=True, slots=True)
class RekeyChild:
    """CREATE_CHILD_SA with REKEY_SA (RFC 7296 section 1.3.3)."""

    child: ChildSa


@dataclass(frozen=True, slots=True)
class RekeyIke:
    """CREATE_CHILD_SA for a new IKE SA (RFC 7296 section 1.3.2)."""


@dataclass(frozen=True, slots=True)
class DeleteIke:
    """INFORMATIONAL with a Delete of the IKE SA itself (RFC 7296 section 1.4.1)."""

    reason: str = "closed by us"


@dataclass(frozen=True, slots=True)
class DeleteChildren:
    """INFORMATIONAL with Delete payloads for these Child SAs."""

    children: tuple[ChildSa, ...]


@dataclass(frozen=True, slots=True)
class Liveness:
    """An empty INFORMATIONAL (RFC 7296 section 2.4)."""


@dataclass(frozen=True, slots=True)
class Inform:
    """An INFORMATIONAL with these payloads."""

    payloads: tuple[Payload, ...]


Task = Initiate | CreateChild | RekeyChild | RekeyIke | DeleteIke | DeleteChildren | Liveness | Inform
