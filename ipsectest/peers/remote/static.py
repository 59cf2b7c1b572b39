"""A remote peer without an adapter, as the runner sees it: set up by its owner, asked for nothing."""

from ipsectest.base.errors import UnsupportedError
from ipsectest.peers.remote.description import Remote
from ipsectest.scenario.ports import PeerRequest, PeerSettings


class StaticPeer:
    """What a case may ask of it was looked at before (`peers.remote.fit`)."""

    def __init__(self, remote: Remote) -> None:
        self.name = remote.name
        self.version = remote.version

    def configure(self, settings: PeerSettings) -> None:
        """It is configured."""
        del settings

    def perform(self, request: PeerRequest) -> int | None:
        """There is nobody to ask."""
        raise UnsupportedError(f"peer {request.verb}", f"nobody can ask {self.name} for it")

    def forget(self, settings: PeerSettings) -> None:
        """The tester has deleted its SAs over the wire."""
        del settings

    def log(self, settings: PeerSettings) -> str:
        """Its log is its owner's."""
        del settings
        return ""

    def crash(self) -> str | None:
        """Nobody can see that from here."""
        return None

    def close(self) -> None:
        """Nothing was opened."""
