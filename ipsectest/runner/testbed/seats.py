"""Who sits at a node of a topology and speaks IKE: our own gateway or a daemon, with all tunnels that end there."""

from collections.abc import Iterable
from typing import Protocol

from ipsectest.base.errors import PeerError
from ipsectest.ike.config import EndpointConfig
from ipsectest.ike.events import ChildInstalled
from ipsectest.ike.keylog import KeyLog
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.peers.builtin import event_line
from ipsectest.peers.builtin_settings import connection
from ipsectest.peers.daemon import Daemon
from ipsectest.peers.reports import IkeReport
from ipsectest.runner.endpoint_reports import established, report
from ipsectest.runner.endpoint_verbs import start
from ipsectest.runner.gateway import TunnelGateway
from ipsectest.runner.interop.key_files import key_files, key_ring
from ipsectest.runner.kernel_gateway import KernelGateway
from ipsectest.runner.rekey_timers import Ages, RekeyTimers
from ipsectest.runner.testbed.tunnels import Tunnel
from ipsectest.scenario.ports import Certificates, PeerRequest, PeerSettings, Verb

OurGateway = TunnelGateway | KernelGateway


class Seat(Protocol):
    """One IKE endpoint. Verbs start something; what comes of them is seen in the reports."""

    def perform(self, verb: Verb, tunnel: Tunnel) -> None:
        """Initiate, rekey or delete; PeerError if there is nothing to do it to."""
        ...

    def report(self, tunnel: Tunnel) -> list[IkeReport]:
        """The established IKE SAs of a tunnel with their installed Child SAs."""
        ...

    def log(self) -> str:
        """What happened so far."""
        ...

    def keys(self) -> dict[str, str]:
        """Keys of all SAs so far, by the name of the file; nothing if there are none."""
        ...

    def crash(self) -> str | None:
        """Why it is dead, or None."""
        ...


class BuiltinSeat:
    """Our own gateway, with ESP in user space or in the kernel."""

    def __init__(self, gateway: OurGateway) -> None:
        self._gateway = gateway

    def perform(self, verb: Verb, tunnel: Tunnel) -> None:
        """Call the endpoint, and send what it says."""
        gateway = self._gateway
        if verb is Verb.INITIATE:
            named = (one for one in gateway.endpoint.config.connections if one.name == tunnel.name)
            gateway.initiate(next(named))
            return
        try:
            start(verb, gateway.endpoint, self._sas(tunnel), gateway.loop.clock.now())
        except PeerError as error:
            raise PeerError(f"{tunnel.name}: {error}") from None
        gateway.flush()

    def report(self, tunnel: Tunnel) -> list[IkeReport]:
        """Look at the endpoint and its data plane."""
        return [report(sa, self._is_encapsulated) for sa in self._sas(tunnel)]

    def log(self) -> str:
        """The events."""
        return "".join(f"{event_line(event)}\n" for event in self._gateway.events)

    def keys(self) -> dict[str, str]:
        """From the events."""
        keys = KeyLog()
        for event in self._gateway.events:
            keys.take(event)
        return keys.files()

    def crash(self) -> None:
        """It cannot die alone."""

    def _sas(self, tunnel: Tunnel) -> list[IkeSa]:
        return [sa for sa in established(self._gateway.endpoint) if sa.connection.name == tunnel.name]

    def _is_encapsulated(self, child: ChildSa) -> bool:
        told = (event for event in self._gateway.events if isinstance(event, ChildInstalled))
        return any(event.udp_ports is not None for event in told if event.child is child)


class DaemonSeat:
    """A daemon that is running already."""

    def __init__(self, daemon: Daemon, node: str, tunnels: list[Tunnel]) -> None:
        self._daemon = daemon
        self._node = node
        self._tunnels = tunnels
        for tunnel in tunnels:
            daemon.configure(tunnel.settings[node])

    def perform(self, verb: Verb, tunnel: Tunnel) -> None:
        """Tell the daemon."""
        self._daemon.perform(PeerRequest(0, verb, tunnel.settings[self._node]))

    def report(self, tunnel: Tunnel) -> list[IkeReport]:
        """Ask the daemon."""
        return self._daemon.report(tunnel.settings[self._node])

    def log(self) -> str:
        """All it logged, with keys."""
        return self._daemon.key_log(self._tunnels[0].settings[self._node])

    def keys(self) -> dict[str, str]:
        """Those in the log."""
        return key_files(key_ring(self.log()))

    def crash(self) -> str | None:
        """What the driver saw."""
        return self._daemon.crash()


def our_config(node: str, tunnels: list[Tunnel], certificates: Certificates | None) -> EndpointConfig:
    """An endpoint of ours with a connection for each tunnel."""
    settings = [tunnel.settings[node] for tunnel in tunnels]
    return EndpointConfig(
        addresses=tuple(dict.fromkeys(one.local.host for one in settings)),
        connections=tuple(connection(one, certificates) for one in settings),
        liveness_interval=next((one.dpd for one in settings if one.dpd), None),
    )


def timers_of(gateway: OurGateway, settings: Iterable[PeerSettings]) -> RekeyTimers:
    """What rekeys the SAs of a gateway of ours as its settings say."""
    ages = {one.name: Ages(one.ike_lifetime, one.child_lifetime) for one in settings}
    return RekeyTimers(gateway.loop.clock, gateway.endpoint, gateway.flush, ages)
