"""What is one for a whole daemon, whichever it is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DaemonOptions:
    """Settings that a case cannot have for itself: a case that needs another value needs another instance.

    Each driver says what it needs (``options_for`` of its settings); what its daemon sets for each connection stays
    at its default here.
    """

    cookies: bool = False
    retransmit: float = 0.5
    retransmit_tries: int = 6
    user_space_esp: bool = True
    unique: bool = False
    """Whether a second IKE SA of an identity replaces the first."""
    certificate: str = ""
    """Kind of the certificate it has, where it cannot have several with one subject."""
    keys_in_log: bool = False
    """Whether its log tells the keys of its SAs: for those who want to decrypt what it sent."""
