"""A daemon's place in the lab's virtual machine: one role, one network card, and a daemon for each set of options."""

from dataclasses import dataclass, field, replace

from ipsectest.lab.vm.host import VmHost
from ipsectest.lab.vm.machine import Machine
from ipsectest.peers import table
from ipsectest.peers.daemon import Daemon
from ipsectest.peers.names import PeerName
from ipsectest.peers.options import DaemonOptions
from ipsectest.runner.interop.ends import DaemonEnd
from ipsectest.runner.pki import PkiSide
from ipsectest.scenario.ports import PeerSettings


@dataclass(slots=True)
class GuestSeat:
    """At most one daemon runs in it; what a case needs of the whole daemon is an instance of its own."""

    machine: Machine
    label: str
    """Of the guest's network namespace."""
    peer: PeerName
    side: PkiSide
    _daemons: dict[DaemonOptions, Daemon] = field(default_factory=dict)
    _running: Daemon | None = None

    def start(self, settings: PeerSettings) -> Daemon:
        """The daemon for such a case, running; PeerError says why it does not come up."""
        driver = table.PEERS[self.peer.driver]
        options = replace(driver.options_for(settings), user_space_esp=False, keys_in_log=True)
        daemon = self._daemons.get(options)
        if daemon is None:
            name = f"{self.label}-{len(self._daemons)}"
            host = VmHost(self.machine, name, self.label, str(self.peer))
            daemon = self._daemons[options] = driver.driver(host, self.side.credentials, options)
        if daemon is not self._running or daemon.crash():
            self.stop()
            daemon.start()
            self._running = daemon
        return daemon

    def end(self, settings: PeerSettings) -> DaemonEnd:
        """The same as an end of a cell."""
        return DaemonEnd(self.start(settings))

    def stop(self) -> None:
        """End what runs."""
        daemon, self._running = self._running, None
        if daemon:
            daemon.stop()
