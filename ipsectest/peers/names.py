"""Names of peers as a user types them: ``strongswan``, ``strongswan@bookworm``, ``strongswan@host``, ``builtin``."""

from dataclasses import dataclass

HOST = "host"
"""The place that means: what is installed on this machine."""


@dataclass(frozen=True, slots=True, order=True)
class PeerName:
    """A driver and where its daemon comes from: a Debian suite, ``host``, or nothing for the built-in peer."""

    driver: str
    place: str = ""

    def __str__(self) -> str:
        """``strongswan@trixie``."""
        return f"{self.driver}@{self.place}" if self.place else self.driver
