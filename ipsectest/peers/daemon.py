"""What the runner asks of a real daemon's driver beside `scenario.ports.Peer`."""

from collections.abc import Callable
from typing import Protocol

from ipsectest.peers.credentials import Credentials
from ipsectest.peers.host import Host
from ipsectest.peers.options import DaemonOptions
from ipsectest.peers.reports import IkeReport
from ipsectest.scenario.ports import Peer, PeerSettings


class Daemon(Peer, Protocol):
    """A daemon that is started and stopped."""

    @property
    def raw_esp(self) -> bool:
        """Whether it sends and takes plain ESP (protocol 50)."""
        ...

    @property
    def without_children(self) -> str:
        """Why no Child SA can come up here, in a few words; empty if one can."""
        ...

    @property
    def without_kernel(self) -> str:
        """Why there is no policy for packets in clear, neither AH nor transport mode; empty: there is."""
        ...

    def report(self, settings: PeerSettings) -> list[IkeReport]:
        """The established IKE SAs of a case with their installed Child SAs."""
        ...

    def key_log(self, settings: PeerSettings) -> str:
        """What the daemon logged since the case began, with keys if it was started with ``keys_in_log``."""
        ...

    def start(self) -> None:
        """Start it; PeerError says why it does not come up."""
        ...

    def stop(self) -> int:
        """End it; its exit status. It may be started again."""
        ...


Driver = Callable[[Host, Credentials | None, DaemonOptions | None], Daemon]
"""Makes a daemon that is not started yet."""
