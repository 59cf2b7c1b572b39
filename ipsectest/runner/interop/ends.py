"""The two ends of a cell: our own gateway, or a daemon's, each told the same and asked the same."""

from contextlib import suppress
from typing import Protocol

from ipsectest.base.clock import RandomBytes
from ipsectest.base.errors import PeerError
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.ike.keylog import KeyLog
from ipsectest.net.loop import EventLoop
from ipsectest.peers.builtin import event_line
from ipsectest.peers.builtin_settings import endpoint_config
from ipsectest.peers.daemon import Daemon
from ipsectest.peers.profile_policy import policy_of
from ipsectest.peers.reports import IkeReport
from ipsectest.runner.endpoint_reports import established, report
from ipsectest.runner.endpoint_verbs import start
from ipsectest.runner.gateway import TunnelGateway
from ipsectest.runner.interop.key_files import key_ring
from ipsectest.scenario.ports import Certificates, PeerRequest, PeerSettings, Verb
from ipsectest.scenario.profile import Profile


class End(Protocol):
    """One gateway of a cell. Verbs start something; what comes of them is seen in the reports."""

    def prepare(self, settings: PeerSettings) -> None:
        """Be ready to answer. UnsupportedError names what is lacking."""
        ...

    def perform(self, verb: Verb) -> None:
        """Initiate, rekey or delete the one IKE SA or Child SA of the cell; PeerError if there is none."""
        ...

    def report(self) -> list[IkeReport]:
        """The established IKE SAs of the cell with their installed Child SAs."""
        ...

    def finish(self) -> tuple[str, KeyRing]:
        """Forget the cell: the log of it, and its keys."""
        ...

    def crash(self) -> str | None:
        """Why it is dead, or None."""
        ...


class DaemonEnd:
    """A daemon that runs for many cells."""

    def __init__(self, peer: Daemon) -> None:
        self._peer = peer
        self._settings: PeerSettings | None = None

    def prepare(self, settings: PeerSettings) -> None:
        """Load the connection."""
        self._settings = settings
        self._peer.configure(settings)

    def perform(self, verb: Verb) -> None:
        """Tell the daemon."""
        self._peer.perform(PeerRequest(0, verb, self._loaded))

    def report(self) -> list[IkeReport]:
        """Ask the daemon."""
        return self._peer.report(self._loaded)

    def finish(self) -> tuple[str, KeyRing]:
        """Unload the connection."""
        if self._settings is None:
            return "", KeyRing()
        settings, self._settings = self._settings, None
        log, keys = self._peer.log(settings), key_ring(self._peer.key_log(settings))
        with suppress(PeerError):  # it is dead: what it logged says more
            self._peer.forget(settings)
        return log, keys

    def crash(self) -> str | None:
        """What the driver saw."""
        return self._peer.crash()

    @property
    def _loaded(self) -> PeerSettings:
        if self._settings is None:
            raise PeerError("no cell is prepared")
        return self._settings


class BuiltinEnd:
    """Our own gateway, made anew for each cell in the same namespace."""

    def __init__(
        self,
        loop: EventLoop,
        namespace: str,
        certificates: Certificates | None,
        random: RandomBytes,
        profile: Profile | None = None,
    ) -> None:
        self._loop = loop
        self._namespace = namespace
        self._certificates = certificates
        self._random = random
        self._profile = profile
        self._gateway: TunnelGateway | None = None

    def speaking(self, profile: Profile) -> "BuiltinEnd":
        """Another in the same place that speaks like somebody."""
        return BuiltinEnd(self._loop, self._namespace, self._certificates, self._random, profile)

    def prepare(self, settings: PeerSettings) -> None:
        """Open the sockets and the TUN device."""
        self._gateway = TunnelGateway(
            self._loop,
            self._namespace,
            endpoint_config(settings, self._certificates),
            routes=[settings.inner_remote],
            transport=settings.mode == "transport",
            random=self._random,
            policy=policy_of([settings], self._profile),
        )

    def perform(self, verb: Verb) -> None:
        """Call the endpoint, and send what it says."""
        gateway = self._running
        if verb is Verb.INITIATE:
            gateway.initiate(gateway.endpoint.config.connections[0])
            return
        start(verb, gateway.endpoint, established(gateway.endpoint), self._loop.clock.now())
        gateway.flush()

    def report(self) -> list[IkeReport]:
        """Look at the endpoint and its data plane."""
        gateway = self._running
        pairs = gateway.children.pairs
        return [
            report(sa, lambda child: child.spi_in in pairs and pairs[child.spi_in][0].udp_ports is not None)
            for sa in established(gateway.endpoint)
        ]

    def finish(self) -> tuple[str, KeyRing]:
        """Close the gateway."""
        if self._gateway is None:
            return "", KeyRing()
        gateway, self._gateway = self._gateway, None
        gateway.close()
        keys = KeyLog()
        for event in gateway.events:
            keys.take(event)
        plane = gateway.plane.counters
        lines = [event_line(event) for event in gateway.events]
        lines += [f"data plane: {plane}", *(f"dropped, {why}: {n}" for why, n in gateway.gateway.drops.items())]
        return "".join(f"{line}\n" for line in lines), key_ring(keys.files().get("keys.toml", ""))

    def crash(self) -> None:
        """It cannot die alone."""

    @property
    def _running(self) -> TunnelGateway:
        if self._gateway is None:
            raise PeerError("no cell is prepared")
        return self._gateway
