"""Names of peers as a user types them: ``strongswan``, ``strongswan@bookworm``, ``...@host``, ``builtin@aws``."""

from dataclasses import dataclass

HOST = "host"
"""The place that means: what is installed on this machine."""


@dataclass(frozen=True, slots=True, order=True)
class PeerName:
    """A driver and where its daemon comes from: a Debian suite or ``host``.

    The built-in peer comes from nowhere; it may have the name of a profile, which it speaks like.
    """

    driver: str
    place: str = ""

    @classmethod
    def written(cls, text: str) -> "PeerName":
        """What ``str`` made, taken as it is: ``peers.table.parse`` reads what a user types."""
        driver, _, place = text.partition("@")
        return cls(driver, place)

    def __str__(self) -> str:
        """``strongswan@trixie``."""
        return f"{self.driver}@{self.place}" if self.place else self.driver
