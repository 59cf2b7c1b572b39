"""A topology that lives: its namespaces, an IKE endpoint at each node that has one, captures of every link, keys.

All of it belongs to one event loop and is used from that loop's thread.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Self

from ipsectest.base.errors import PeerError
from ipsectest.lab.hosts import NamespaceHost
from ipsectest.lab.lab import Lab
from ipsectest.lab.topology import Network, Topology, realise
from ipsectest.lab.vm.host import VmHost
from ipsectest.net.loop import EventLoop
from ipsectest.peers import table
from ipsectest.peers.host import Host
from ipsectest.peers.names import PeerName
from ipsectest.peers.profile_policy import policy_of
from ipsectest.peers.reports import IkeReport
from ipsectest.runner.gateway import TunnelGateway
from ipsectest.runner.interop.echoes import Echoes, Pings, ping
from ipsectest.runner.interop.guest_echoes import GuestEchoes
from ipsectest.runner.kernel_gateway import KernelGateway
from ipsectest.runner.pki import PkiSide
from ipsectest.runner.polling import poll_until
from ipsectest.runner.testbed.captures import Captures
from ipsectest.runner.testbed.guests import GuestNode, GuestSite
from ipsectest.runner.testbed.running import Running
from ipsectest.runner.testbed.seats import BuiltinSeat, DaemonSeat, Seat, our_config, timers_of
from ipsectest.runner.testbed.tunnels import Tunnel, beyond
from ipsectest.scenario.ports import Verb

PATIENCE = 10.0
"""Seconds that something asked for may take."""
PINGS = 3


class Plane(StrEnum):
    """Whose ESP a node uses."""

    USER = "user"
    KERNEL = "kernel"
    """Of this machine."""
    GUEST = "guest"
    """Of the lab's virtual machine, in which the node stands then; not for our own endpoint."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """Echo requests from one host to another."""

    source: tuple[str, str]
    """(node, address)"""
    destination: tuple[str, str]
    sent: int
    received: int


@dataclass(slots=True)
class Testbed:
    """A context manager; ``folder`` gets captures, keys and logs. The tunnels are down at first."""

    topology: Topology
    tunnels: list[Tunnel]
    peers: Mapping[str, PeerName]
    """Node -> who speaks IKE there, for every node with an endpoint."""
    loop: EventLoop
    folder: Path
    planes: Mapping[str, Plane] = field(default_factory=dict)
    """Node -> whose ESP it uses; user space where nothing is said."""
    pki: Mapping[str, PkiSide] = field(default_factory=dict)
    """Node -> its certificates, if the tunnels want some."""
    say: Callable[[str], None] = lambda _line: None
    """Told what takes long."""
    network: Network = field(init=False)
    guests: dict[str, GuestNode] = field(default_factory=dict)
    """The nodes that stand in the virtual machine."""
    captures: Captures = field(init=False)
    seats: dict[str, Seat] = field(default_factory=dict)
    running: Running = field(init=False)
    """What other processes are told."""
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """LabError or PeerError say what is missing."""
        with ExitStack() as stack:
            lab = stack.enter_context(Lab())
            guests = {node: peer for node, peer in self.peers.items() if self._plane(node) is Plane.GUEST}
            site = None
            if guests:
                site = GuestSite(lab, self.topology, guests, self.say)
                stack.callback(site.close)
                self.guests = site.nodes
            self.network = realise(lab, self.topology, self.guests)
            self.network.join(self.loop)
            stack.callback(self._leave)
            self.captures = Captures(self.network, self.folder / "captures")
            stack.callback(self.captures.close)
            self.loop.add(self.captures)
            stack.callback(self.loop.remove, self.captures)
            for node in self.peers:
                self.seats[node] = self._occupy(lab, stack, node)
            here = {node: str(self.network[node].path) for node in self.topology.nodes if node not in guests}
            self.running = Running(self.topology.name, here, tuple(guests), site.way if site else None, os.getpid())
            self.running.leave(lab.directory_root)
            stack.callback(self.save)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Write logs and keys, and take everything down."""
        self._stack.close()

    def tunnel_reports(self, tunnel: Tunnel) -> tuple[list[IkeReport], list[IkeReport]]:
        """What initiator and responder report."""
        first, second = (self.seats[node].report(tunnel) for node in tunnel.nodes)
        return first, second

    def is_up(self, tunnel: Tunnel) -> bool:
        """Whether both ends have the same Child SA."""
        return self._same_child(tunnel, "") is not None

    def up(self, tunnel: Tunnel) -> None:
        """Bring a tunnel up; PeerError if it does not come."""
        if self.is_up(tunnel):
            return
        self.seats[tunnel.initiator].perform(Verb.INITIATE, tunnel)
        self._wait(lambda: self.is_up(tunnel), f"{tunnel.name} did not come up")

    def down(self, tunnel: Tunnel, by: str = "") -> None:
        """Delete the IKE SA."""
        self.seats[by or tunnel.initiator].perform(Verb.DELETE_IKE, tunnel)
        self._wait(lambda: self.tunnel_reports(tunnel) == ([], []), f"{tunnel.name} was not deleted")

    def rekey_child(self, tunnel: Tunnel, by: str = "") -> None:
        """Rekey the Child SA, and see the old one go."""
        old = self._same_child(tunnel, "")
        self.seats[by or tunnel.initiator].perform(Verb.REKEY_CHILD, tunnel)
        self._wait(
            lambda: self._same_child(tunnel, old or "") is not None, f"the Child SA of {tunnel.name} was not rekeyed"
        )

    def rekey_ike(self, tunnel: Tunnel, by: str = "") -> None:
        """Rekey the IKE SA, and see the old one go."""
        old = self._ike_names(tunnel)
        self.seats[by or tunnel.initiator].perform(Verb.REKEY_IKE, tunnel)

        def is_done() -> bool:
            new = self._ike_names(tunnel)
            return all(len(names) == 1 and names != before for names, before in zip(new, old, strict=True))

        self._wait(is_done, f"the IKE SA of {tunnel.name} was not rekeyed")

    def ping(self, source: tuple[str, str], destination: tuple[str, str], count: int = PINGS) -> Crossing:
        """Send echo requests until so many are answered, or the patience is at its end."""
        echoes = self._echoes(source, destination[1], count)
        try:
            ping(self.loop, [echoes], count)
        finally:
            echoes.close()
        return Crossing(source, destination, echoes.sent, echoes.received)

    def run_for(self, seconds: float) -> None:
        """Let things happen."""
        self.loop.run_until(lambda: False, seconds)

    def crashed(self) -> dict[str, str]:
        """Dead daemons, and why."""
        return {node: why for node, seat in self.seats.items() if (why := seat.crash())}

    def save(self) -> list[Path]:
        """Write logs and keys as they are now; the files."""
        written = []
        for name in ("logs", "keys"):
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        for node, seat in self.seats.items():
            for name, text in {f"{node}.log": seat.log(), **seat.keys()}.items():
                folder = self.folder / ("logs" if name.endswith(".log") else f"keys/{node}")
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                (folder / name).write_text(text)
                written.append(folder / name)
        return written

    def _plane(self, node: str) -> Plane:
        return self.planes.get(node, Plane.USER)

    def _echoes(self, source: tuple[str, str], destination: str, count: int) -> Pings:
        node, address = source
        if away := self.guests.get(node):
            return GuestEchoes(away.machine, node, address, destination, count)
        return Echoes(self.network[node], address, destination, count)

    def _leave(self) -> None:
        for link in self.network.impaired.values():
            self.loop.remove(link)

    def _wait(self, condition: Callable[[], bool], problem: str) -> None:
        if poll_until(self.loop, condition, PATIENCE):
            return
        dead = "".join(f"; {node} is dead: {why}" for node, why in self.crashed().items())
        raise PeerError(f"{problem} within {PATIENCE:g} s{dead}")

    def _same_child(self, tunnel: Tunnel, other_than: str) -> str | None:
        """The inbound SPI, at the initiator, of the one Child SA that both ends have."""
        here, there = ([child for ike in side for child in ike.children] for side in self.tunnel_reports(tunnel))
        if len(here) != 1 or len(there) != 1:
            return None
        if (here[0].spi_in, here[0].spi_out) != (there[0].spi_out, there[0].spi_in):
            return None
        spi = here[0].spi_in.hex()
        return spi if spi != other_than else None

    def _ike_names(self, tunnel: Tunnel) -> list[set[object]]:
        return [{report.name for report in side} for side in self.tunnel_reports(tunnel)]

    def _occupy(self, lab: Lab, stack: ExitStack, node: str) -> Seat:
        peer, plane = self.peers[node], self._plane(node)
        mine = [tunnel for tunnel in self.tunnels if node in tunnel.settings]
        if plane is not Plane.USER:
            self._route(node, mine)
        if peer.driver == table.BUILTIN:
            gateway = self._our_gateway(node, mine)
            stack.callback(gateway.close)
            timers = timers_of(gateway, [tunnel.settings[node] for tunnel in mine])
            self.loop.add(timers)
            stack.callback(self.loop.remove, timers)
            return BuiltinSeat(gateway)
        host: Host
        if away := self.guests.get(node):
            host = VmHost(away.machine, node, node, str(peer))
        else:
            host = NamespaceHost(lab, node, self.network[node], table.root_of(peer))
        driver, side = table.PEERS[peer.driver], self.pki.get(node)
        options = replace(
            driver.options_for(mine[0].settings[node]), user_space_esp=plane is Plane.USER, keys_in_log=True
        )
        daemon = driver.driver(host, side.credentials if side else None, options)
        if why := daemon.without_children:
            raise PeerError(f"{peer} at {node}: no Child SA can come up, {why}")
        daemon.start()
        stack.callback(daemon.stop)
        return DaemonSeat(daemon, node, mine)

    def _our_gateway(self, node: str, tunnels: list[Tunnel]) -> TunnelGateway | KernelGateway:
        side, namespace = self.pki.get(node), self.network[node].name
        config = our_config(node, tunnels, side.certificates if side else None)
        policy = policy_of([tunnel.settings[node] for tunnel in tunnels], table.profile_of(self.peers[node]))
        if self._plane(node) is Plane.KERNEL:
            return KernelGateway(self.loop, namespace, config, policy=policy)
        return TunnelGateway(self.loop, namespace, config, routes=beyond(tunnels, node), policy=policy)

    def _route(self, node: str, tunnels: list[Tunnel]) -> None:
        """Linux looks for a route before it looks at the policies."""
        ends = self.topology.ends_of(node)
        outer = {tunnel.settings[node].local.host for tunnel in tunnels}
        out = [end for end in ends if any(text.split("/")[0] in outer for text in end.addresses)] or ends
        for prefix in beyond(tunnels, node):
            self.network.lead(node, prefix, *(end.device for end in out))
